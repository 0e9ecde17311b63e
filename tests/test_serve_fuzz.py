"""The API fuzzed from its own description: whatever is sent, the server answers as it says, and never with an error.

schemathesis (https://schemathesis.readthedocs.io) makes requests that fit the description and such that do not, and
holds each response to it: a known status, the content and the form that were promised. The token, which it cannot know
to be right, is sent with every request; what happens without it is tested in test_serve.py.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from serving import TOKEN, asking, certified_run, hearing

from gemsnn.serve import served as loading
from gemsnn.serve.app import Server
from gemsnn.serve.sessions import Sessions

pytestmark = pytest.mark.slow
ALLOWED = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return loading.load(certified_run(tmp_path_factory.mktemp("fuzz")))


@pytest.fixture(scope="module")
def client(served):
    sessions = Sessions(served.weights, most=1000)
    with hearing(served) as (live, _), asking(served, sessions=sessions, live=live) as client:
        yield client


@pytest.fixture(scope="module")
def operations(served):
    described = schemathesis.openapi.from_dict(Server(served, TOKEN).app.openapi())
    found = [each.ok() for each in described.get_all_operations()]
    assert len(found) == 11
    return found


def case_of(data: Any, operation: Any, mode: GenerationMode, client: Any) -> Any:
    """A request to an operation; where it is of a session, mostly of one that is alive."""
    path = {}
    if "{id}" in operation.path and data.draw(st.integers(0, 9)):
        path = {"path_parameters": {"id": client.post("/api/sessions").json()["id"]}}
    case = data.draw(operation.as_strategy(generation_mode=mode, **path))
    if isinstance(case.body, dict) and operation.path.endswith(("show", "teach")):
        case.body["real_time"] = False  # or the test takes as long as what is shown
    if mode is GenerationMode.POSITIVE and operation.path.endswith("live"):
        case.body["bins"] = 1  # or it takes without end
    return case


@settings(
    max_examples=40, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(data=st.data())
def test_what_fits_the_description_is_answered_as_it_says(operations, client, data):
    operation = data.draw(st.sampled_from(operations))
    case = case_of(data, operation, GenerationMode.POSITIVE, client)
    response = case.call(base_url=str(client.base_url), headers=ALLOWED)
    # of a file the description says that it is bytes, and most bytes are no events
    beyond = [positive_data_acceptance] if operation.path.endswith("file") else []
    case.validate_response(response, excluded_checks=[ignored_auth, *beyond])
    assert response.status_code < 500


@settings(
    max_examples=40, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(data=st.data())
def test_what_does_not_fit_is_refused_in_a_sentence(operations, client, data):
    asked = [each for each in operations if each.body]
    case = case_of(data, data.draw(st.sampled_from(asked)), GenerationMode.NEGATIVE, client)
    response = case.call(base_url=str(client.base_url), headers=ALLOWED)
    case.validate_response(response, excluded_checks=[ignored_auth])
    assert response.status_code < 500
    if response.status_code >= 400:
        said = response.json()["detail"]
        assert 0 < len(said) < 1000
        assert said.isprintable()
