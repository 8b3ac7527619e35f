"""Who asked to be told that an explanation ended is told: signed, repeated until it is taken, and nobody else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import settings as conf
from django.utils import timezone

from audit.refusals import BadInput
from explain import jobs, notices
from explain.models import ExplanationJob, Notice, NoticeState
from tests.explain.conftest import TRAINER, Perform, ask, register_endpoint
from tests.explain.servers import serving

pytestmark = pytest.mark.usefixtures("committed_db")
SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0cy1vbmx5"


class Receiver:
    """A server that answers with the next of ``statuses``, and keeps what it got."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append(({k.lower(): v for k, v in self.headers.items()}, json.loads(text)))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 204)
                self.send_header("content-length", "0")
                self.send_header("location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(conf, "EXPLANATION_WEBHOOK_HOSTS", ["127.0.0.1", "hooks.example"])
    monkeypatch.setattr(conf, "WEBHOOK_SECRET", SECRET)
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_the_end_is_told_once_signed_and_without_a_row(receiver: Receiver, perform: Perform) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), notify=receiver.url))
    assert notices.deliver() == 1
    assert notices.deliver() == 0
    ((headers, body),) = receiver.got
    assert headers["webhook-id"] == f"explanation-{job.pk}"
    assert headers["webhook-signature"].startswith("v1,")
    assert body["type"] == "explanation.finished"
    assert body["data"] == {
        "explanation": job.subject,
        "version": job.version.subject,
        "state": "finished",
        "standing": job.standing,
        "receipt": job.receipt_digest,
        "address": f"{conf.PUBLIC_URL}{job.get_absolute_url()}",
    }


def test_a_receiver_that_is_down_gets_it_later_and_a_restart_loses_nothing(receiver: Receiver) -> None:
    receiver.statuses = [503, 302, 204]
    job = ask(register_endpoint("http://127.0.0.1:9/"), notify=receiver.url)
    jobs.cancel(job, by=TRAINER)
    assert notices.deliver() == 0
    kept = Notice.objects.get()
    assert (kept.state, kept.attempts) == (NoticeState.WAITING, 1)
    assert kept.error
    assert notices.deliver() == 0  # not before its time
    assert len(receiver.got) == 1
    later = timezone.now() + timedelta(minutes=5)
    assert notices.deliver(later) == 0  # a redirect is no delivery
    assert notices.deliver(later + timedelta(minutes=5)) == 1
    assert [body["type"] for _headers, body in receiver.got] == ["explanation.cancelled"] * 3
    assert len({headers["webhook-id"] for headers, _body in receiver.got}) == 1


def test_a_receiver_that_never_answers_is_given_up(receiver: Receiver) -> None:
    receiver.statuses = [500] * 20
    jobs.cancel(ask(register_endpoint("http://127.0.0.1:9/"), notify=receiver.url), by=TRAINER)
    far = timezone.now() + timedelta(days=40)
    assert sum(notices.deliver(far) for _attempt in range(20)) == 0
    kept = Notice.objects.get()
    assert (kept.state, kept.attempts) == (NoticeState.GIVEN_UP, notices.MOST_ATTEMPTS)


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example/x", "https://other.example/x", "https://a:b@hooks.example/", "ftp://hooks.example", "//x"],
)
def test_nobody_is_told_at_an_address_that_was_not_allowed(receiver: Receiver, url: str) -> None:
    with pytest.raises(BadInput) as caught:
        ask(register_endpoint("http://127.0.0.1:9/"), notify=url)
    assert "notify" in caught.value.fields
    assert not ExplanationJob.objects.exists()


def test_a_host_that_is_taken_from_the_list_gets_nothing_more(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.cancel(ask(register_endpoint("http://127.0.0.1:9/"), notify=receiver.url), by=TRAINER)
    monkeypatch.setattr(conf, "EXPLANATION_WEBHOOK_HOSTS", [])
    assert notices.deliver() == 0
    assert receiver.got == []
    assert "EXPLANATION_WEBHOOK_HOSTS" in Notice.objects.get().error


def test_without_a_secret_nobody_is_told(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "WEBHOOK_SECRET", "")
    with pytest.raises(BadInput, match="WEBHOOK_SECRET"):
        ask(register_endpoint("http://127.0.0.1:9/"), notify=receiver.url)
