"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from audit.pages import exports, tiles, views

app_name = "audit"
urlpatterns = [
    path("log", views.log, name="log"),
    path("log/checkpoint", tiles.checkpoint, name="checkpoint"),
    path("log/vkey", tiles.vkey, name="vkey"),
    path("log/tile/entries/<path:name>", tiles.EntryBundle.as_view(), name="entry_bundle"),
    path("log/tile/<path:name>", tiles.hash_tile, name="hash_tile"),
    path("log/of/<int:number>/checkpoint", tiles.checkpoint, name="checkpoint_of"),
    path("log/of/<int:number>/vkey", tiles.vkey, name="vkey_of"),
    path("log/of/<int:number>/tile/entries/<path:name>", tiles.EntryBundle.as_view(), name="entry_bundle_of"),
    path("log/of/<int:number>/tile/<path:name>", tiles.hash_tile, name="hash_tile_of"),
    path("log/<int:index>", views.entry, name="entry"),
    path("log/<int:index>.tlog-proof", views.proof, name="proof"),
    path("log.csv", exports.table, {"kind": "csv"}, name="csv"),
    path("log.xlsx", exports.table, {"kind": "xlsx"}, name="xlsx"),
    path("verify", views.verify, name="verify"),
    path("verify/bundle", exports.verify_bundle, name="verify_bundle"),
    path("audit/exports", exports.exports, name="exports"),
    path("audit/exports/<int:number>", exports.export, name="export"),
    path("audit/exports/<int:number>.zip", exports.download, name="export_file"),
]
