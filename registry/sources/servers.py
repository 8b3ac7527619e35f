"""The tracking servers that models come from, as the settings name them."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings

#: The server of ``MLFLOW_TRACKING_URI``; its models keep their names.
FIRST = "mlflow"


@dataclass(frozen=True, slots=True)
class TrackingServer:
    """``prefix`` stands before the names of its models here."""

    name: str
    uri: str
    prefix: str = ""
    token: str = field(default="", repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def tracking_servers() -> list[TrackingServer]:
    """Every server, the one of ``MLFLOW_TRACKING_*`` first; empty when none is set."""
    found = []
    if settings.MLFLOW_TRACKING_URI:
        found.append(
            TrackingServer(
                FIRST,
                settings.MLFLOW_TRACKING_URI,
                token=settings.MLFLOW_TRACKING_TOKEN,
                username=settings.MLFLOW_TRACKING_USERNAME,
                password=settings.MLFLOW_TRACKING_PASSWORD,
            )
        )
    return found + [TrackingServer(**each) for each in settings.MLFLOW_SERVERS]
