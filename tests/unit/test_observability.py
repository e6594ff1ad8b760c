import io
import json
import logging

import pytest
import structlog

from gateway.observability import configure_logging


@pytest.fixture
def stream():
    yield io.StringIO()
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = []


@pytest.mark.parametrize("format_", ["json", "console"])
def test_no_secret_reaches_a_line_by_key_value_or_traceback(stream, format_):
    configure_logging(level="debug", format=format_, secrets=["canary-key"], stream=stream)
    log = structlog.get_logger()
    local = "canary-local"

    log.info(
        "thing.happened",
        pin="canary-pin",
        nested={"local_key": "canary-nested"},
        text="a canary-key b",
    )
    try:
        raise RuntimeError("canary-key in an error")
    except RuntimeError:
        log.exception("thing.failed")
    logging.getLogger("aiohttp").error("canary-key from a library")

    written = stream.getvalue()
    assert "canary" not in written
    assert local
    assert "thing.happened" in written
    assert "RuntimeError" in written
    assert "from a library" in written


def test_lines_off_a_terminal_are_json_in_utc(stream):
    configure_logging(level="info", format="auto", stream=stream)

    structlog.get_logger().info("thing.happened", lock="apt-101")
    structlog.get_logger().debug("thing.hidden")

    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert (event["event"], event["lock"], event["level"]) == ("thing.happened", "apt-101", "info")
    assert event["at"].endswith("Z")


def test_tinytuya_never_logs_its_debugging(stream):
    configure_logging(level="debug", format="json", stream=stream)

    logging.getLogger("tinytuya.core.message_helper").debug("a frame")

    assert stream.getvalue() == ""
