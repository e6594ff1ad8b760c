"""Every route is described in docs/openapi.yaml, and the running daemon keeps to it.

`make test` sends some 200 generated requests, `make contract` 2,000: GATEWAY_REQUESTS.
"""

import asyncio
import itertools
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.test_command_line import beside_a_daemon, gateway
from tests.house import living

DESCRIPTION = yaml.safe_load(
    (Path(__file__).parents[2] / "docs/openapi.yaml").read_text(encoding="utf-8")
)
REQUESTS = int(os.environ.get("GATEWAY_REQUESTS", "200"))
SEED = 20260202
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


# Another gateway beside this one may hold the ports, which is answered 503 as described.
LISTENING = "GET /api/admin/locks/sightings"


def operations():
    schema = schemathesis.openapi.from_dict(DESCRIPTION)
    return [found.ok() for found in schema.get_all_operations()]


def ways(operation, known):
    """How requests of an operation are generated: as described, not so, and for what there is."""
    brief = {"query": {"seconds": "0.01"}} if operation.label == LISTENING else {}
    yield operation.as_strategy(GenerationMode.POSITIVE, **brief)
    yield operation.as_strategy(GenerationMode.NEGATIVE)
    names = {name for name in known if f"{{{name}}}" in operation.path}
    if names:
        kind = "access" if "/access/" in operation.path else "stay"
        there = {name: known[name] for name in names} | (
            {"id": known[kind]} if "id" in names else {}
        )
        yield operation.as_strategy(GenerationMode.POSITIVE, path_parameters=there)


def send_all(url, token, known):
    """Send the generated requests; (operation, status) of each, and what was not as described."""
    answered, problems = [], []
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        strategies = [way for operation in operations() for way in ways(operation, known)]

        def send(case):
            response = case.call(base_url=url, session=session, timeout=60)
            answered.append((case.operation.label, response.status_code))
            listening = case.operation.label == LISTENING
            case.validate_response(response, checks=CHECKS[1:] if listening else CHECKS)

        rounds = itertools.count(SEED)  # what takes no input gives fewer than it is asked for
        while len(answered) < REQUESTS and not problems:
            number = next(rounds)
            examples = -(-(REQUESTS - len(answered)) // len(strategies))
            for strategy in strategies:
                try:
                    generated(strategy, examples, number, send)()
                except Unsatisfiable:
                    pass  # nothing about this operation can be wrong
                except Exception as problem:  # noqa: BLE001 - all that was found is told at once
                    problems.append(str(problem))
    return answered, problems


def generated(strategy, examples, number, send):
    """A function that sends as many requests of a strategy, the same ones for the same number."""

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def all_of_them(case):
        send(case)

    return all_of_them


@pytest.mark.timeout(900)
async def test_generated_requests_are_answered_as_described(tmp_path):
    async with beside_a_daemon(tmp_path) as (house, _, stay, _):
        port = house.settings["http"]["port"]
        token = (await gateway("token", folder=tmp_path))[1].strip()
        url = f"http://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {token}"}
        until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        body = {"kind": "staff", "name": "Somebody", "locks": ["apt-101"], "until": until}
        made = await asyncio.to_thread(
            requests.post, f"{url}/api/admin/access", json=body, headers=headers, timeout=10
        )
        known = {
            "id": "",
            "stay": stay,
            "access": made.json()["data"]["id"],
            "name": "apt-101",
        }
        answered, problems = await asyncio.to_thread(send_all, url, token, known)
    assert problems == [], "\n\n".join(problems)
    assert len(answered) >= REQUESTS
    assert {label for label, _ in answered} == {one.label for one in operations()}
    good = {label for label, status in answered if status < 300}
    reached = {one.label for one in operations()} - good
    assert reached <= HARD_TO_PLEASE, reached


# What a request that was made up is rarely granted.
HARD_TO_PLEASE = {
    "POST /api/admin/access",
    "GET /api/admin/locks/{name}/canaries/{id}",
    "DELETE /api/admin/locks/{name}/canaries/{id}",
}


# What programs ask for; the rest of the routes are pages for people.
ROUTES = ("/api/", "/healthz", "/readyz", "/metrics")


def test_the_manual_lists_every_route_that_is_described_and_no_other():
    page = (Path(__file__).parents[2] / "docs/http-api.md").read_text()
    listed, methods = set(), []
    for row in re.findall(r"^\| (`(?:GET|POST|PATCH|DELETE).+?) \|", page, re.MULTILINE):
        for one in re.findall(r"`(.+?)`", row):
            method, _, path = one.partition(" ")
            methods.append(method)
            if path:  # the path of "`GET`, `POST /here`" is that of both
                listed |= {(each.lower(), path.partition("?")[0]) for each in methods}
                methods = []
    described = {
        (method, path)
        for path, found in DESCRIPTION["paths"].items()
        for method in found
        if path.startswith(ROUTES)
    }
    assert {one for one in listed if one[1] != "/"} == described


def test_every_route_of_the_daemon_is_described(tmp_path):
    async def story(house):
        served = {
            (route.method.lower(), route.resource.canonical)
            for route in house.gateway.listener._app.router.routes()
            if route.method != "HEAD" and route.resource.canonical.startswith(ROUTES)
        }
        described = {
            (method, path) for path, methods in DESCRIPTION["paths"].items() for method in methods
        }
        assert served == described

    living(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method.upper(), path)
        for path, methods in DESCRIPTION["paths"].items()
        for method in methods
        if path.startswith("/api/")
    ],
)
def test_no_described_route_of_the_api_answers_without_a_token(tmp_path, method, path):
    async def story(house):
        url = f"http://127.0.0.1:{house.gateway.listener.port}{path}"
        for headers, expected in [({}, 401)] * 5 + [({"Authorization": "Bearer x"}, 429)]:
            async with house.session.request(method, url, headers=headers) as response:
                assert response.status == expected
                assert set((await response.json())["error"]) == {"code", "message"}

    living(tmp_path, story, on_lan=True)
