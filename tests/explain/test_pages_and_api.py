"""Asking for an explanation and reading it, in the browser's way and the program's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from explain.models import ExplanationJob, State
from tests.explain.conftest import Perform, ask, register_endpoint, sample
from tests.explain.servers import serving

ClientFor = Callable[[str], Client]
pytestmark = pytest.mark.usefixtures("committed_db")


def body(served: Any, **changes: Any) -> dict[str, Any]:
    rows = [{"id": f"r{i}", "values": row} for i, row in enumerate(sample(2))]
    asked = {"version": served.version.subject, "endpoint": served.name, "method": "shap"}
    return asked | {"rows": rows, "background": sample(20), "seed": 3} | changes


def test_a_program_asks_reads_and_cancels(api_for: ClientFor, delivered: list[int]) -> None:
    endpoint = register_endpoint("http://127.0.0.1:9/")
    client = api_for("ci")
    answer = client.post("/api/v1/explanations", body(endpoint), content_type="application/json")
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert (made["state"], made["progress"]["total"], made["version"]) == ("queued", 2, endpoint.version.subject)
    assert delivered == [made["id"]]
    listed = client.get(f"/api/v1/explanations?version={endpoint.version.subject}").json()
    assert [each["id"] for each in listed["results"]] == [made["id"]]
    cancelled = client.post(
        f"/api/v1/explanations/{made['id']}/cancel", {"reason": "x"}, content_type="application/json"
    )
    assert cancelled.json()["state"] == "cancelled"
    again = client.post(f"/api/v1/explanations/{made['id']}/cancel", {}, content_type="application/json")
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"version": "version:scoring/9"}, 404),
        ({"version": "nonsense"}, 404),
        ({"endpoint": "nowhere"}, 404),
        ({"method": "magic"}, 400),
        ({"rows": []}, 400),
        ({"rows": "many"}, 400),
        ({"rows": [1]}, 400),
        ({"rows": [{"id": "a", "values": {}}, {"id": "a", "values": {}}]}, 400),
        ({"seed": "x"}, 400),
        ({"tol": "0"}, 400),
        ({"background": [{"income": 1}]}, 400),
    ],
)
def test_a_request_that_is_wrong_is_answered_with_its_place(changes: Any, status: int, api_for: ClientFor) -> None:
    endpoint = register_endpoint("http://127.0.0.1:9/")
    answer = api_for("ci").post("/api/v1/explanations", body(endpoint, **changes), content_type="application/json")
    assert answer.status_code == status, answer.content
    assert not ExplanationJob.objects.exists()


def test_who_may_only_read_cannot_ask_or_cancel(api_for: ClientFor, client_for: ClientFor) -> None:
    endpoint = register_endpoint("http://127.0.0.1:9/")
    job = ask(endpoint)
    auditor = client_for("noor")
    assert auditor.get(reverse("explain:explanation", args=[job.pk])).status_code == 200
    assert auditor.get(reverse("explain:request")).status_code == 403
    assert auditor.post(reverse("explain:cancel", args=[job.pk])).status_code == 403
    job.refresh_from_db()
    assert job.state == State.QUEUED


def test_a_finished_explanation_shows_conclusion_quality_figures_and_receipt(
    client_for: ClientFor, perform: Perform
) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url)))
    client = client_for("yusuf")
    page = client.get(job.get_absolute_url())
    text = page.content.decode()
    assert page.status_code == 200
    assert "Counts as evidence" in text
    assert "equal the prediction in every row" in text
    assert 'id="plotly.js-style-global"' in text
    assert job.receipt_digest in text
    figure = json.loads(text.split('id="figure-row" type="application/json">')[1].split("</script>")[0])
    assert len(figure["data"][0]["x"]) == 3
    other = client.get(f"{job.get_absolute_url()}?row=r4").content.decode()
    assert 'id="row-title">Row r4' in other
    assert client.get(f"{job.get_absolute_url()}?row=nobody").status_code == 404
    receipt = client.get(reverse("explain:receipt", args=[job.pk])).json()
    assert receipt["digest"] == job.receipt_digest


def test_a_running_explanation_polls_and_has_a_link_for_those_without_scripts(client_for: ClientFor) -> None:
    job = ask(register_endpoint("http://127.0.0.1:9/"))
    client = client_for("yusuf")
    text = client.get(job.get_absolute_url()).content.decode()
    assert "part=progress" in text
    assert ">Refresh</a>" in text
    assert "Cancel the job" in text
    part = client.get(f"{job.get_absolute_url()}?part=progress", headers={"HX-Request": "true"})
    assert part.content.decode().startswith('<div id="progress"')
    client.post(reverse("explain:cancel", args=[job.pk]))
    part = client.get(f"{job.get_absolute_url()}?part=progress", headers={"HX-Request": "true"})
    assert part["HX-Refresh"] == "true"


def test_a_person_asks_with_csv_and_is_told_what_is_wrong(client_for: ClientFor) -> None:
    endpoint = register_endpoint("http://127.0.0.1:9/")
    client = client_for("yusuf")
    address = f"{reverse('explain:request')}?version={endpoint.version.subject}"
    assert client.get(address).status_code == 200
    header = "income,age,sector\n"
    good = header + "".join(f"{row['income']},{row['age']},{row['sector']}\n" for row in sample(15))
    form = {"endpoint": endpoint.pk, "method": "shap", "tol": "0.05", "seed": "1", "rows": good, "background": good}
    wrong = client.post(address, form | {"rows": header + "1.5,many,retail"})
    assert wrong.status_code == 422
    assert "does not fit its type" in wrong.content.decode()
    few = client.post(address, form | {"background": header + "1.5,4,retail"})
    assert "10 to 500 background rows" in few.content.decode()
    assert not ExplanationJob.objects.exists()
    estimate = client.post(address, form)
    assert estimate.status_code == 200
    assert "15 rows takes about" in estimate.content.decode()
    asked = form | {"step": "request", "estimated": estimate.context["question"]}
    changed = client.post(address, asked | {"seed": "2"})
    assert "The question changed since it was estimated" in changed.content.decode()
    assert not ExplanationJob.objects.exists(), "the estimate came before anything was asked"
    made = client.post(address, asked)
    job = ExplanationJob.objects.get()
    assert made.headers["Location"] == job.get_absolute_url()
    assert [column["kind"] for column in job.columns] == ["number", "integer", "string"]
    like = client.get(f"{reverse('explain:request')}?like={job.pk}").content.decode()
    assert "retail" in like


def test_the_list_is_empty_with_a_reason_and_then_has_the_job(client_for: ClientFor) -> None:
    client = client_for("omar")
    assert "No explanations yet" in client.get(reverse("explain:explanations")).content.decode()
    job = ask(register_endpoint("http://127.0.0.1:9/"))
    text = client.get(f"{reverse('explain:explanations')}?version={job.version.subject}").content.decode()
    assert job.get_absolute_url() in text


def test_the_list_costs_the_same_queries_for_one_job_and_for_ten(
    client_for: ClientFor, django_assert_max_num_queries: Any
) -> None:
    endpoint = register_endpoint("http://127.0.0.1:9/")
    client = client_for("omar")
    for _ in range(10):
        ask(endpoint)
    client.get(reverse("explain:explanations"))
    with django_assert_max_num_queries(12):
        client.get(reverse("explain:explanations"))


def test_figures_are_what_plotly_understands() -> None:
    from plotly import graph_objects

    from explain.methods import figures

    names = [f"f{i}" for i in range(20)]
    phi = [0.1 * (i - 9) for i in range(20)]
    spec = figures.waterfall(
        names,
        ["<b>x</b>", *range(19)],
        phi,
        [0.01] * 20,
        base=0.2,
        total=0.2 + sum(phi),
        base_label="a",
        total_label="b",
        rest_label="9 others",
        unit="p",
    )
    bars = figures.bars(names, [abs(value) for value in phi], [0.0] * 20, [2.0] * 20, unit="p")
    for each in (spec, bars):
        each = {name: each[name] for name in ("data", "layout")}
        graph_objects.Figure(json.loads(re.sub(r'"token:[a-z0-9-]+"', '"#123456"', json.dumps(each))))
    assert spec["data"][0]["base"] + sum(spec["data"][0]["x"]) == pytest.approx(0.2 + sum(phi))
    assert len(spec["layout"]["yaxis"]["ticktext"]) == figures.SHOWN
    assert "<b>" not in json.dumps(spec)


def test_plotly_finds_the_markers_that_keep_it_from_making_style_elements() -> None:
    """The ids are those of the installed plotly: a strict CSP would refuse the elements."""
    root = Path(__file__).resolve().parents[2]
    page = (root / "templates/explain/explanation_detail.html").read_text()
    script = (files("plotly") / "package_data" / "plotly.min.js").read_text()
    marker = re.search(r'id="([0-9a-f]{64})"', page)
    assert marker is not None
    assert f'document.getElementById("{marker[1]}")' in script
    assert '"plotly.js-style-"' in script
    assert 'id="plotly.js-style-global"' in page
