"""Makes parts of the gateway from its configuration: locks, messages, Stays, TLS."""

import random  # noqa: TID251 - only as the type of what is injected
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import structlog

from gateway.clock import Clock
from gateway.config import Config
from gateway.config.model import Hub, Lock, is_loopback
from gateway.domain.model import Operation
from gateway.notify.channels import Channel, Setup
from gateway.notify.texts import Texts
from gateway.ports import LockEvent
from gateway.stays.client import StaysClient
from gateway.store.messages import GUEST
from gateway.store.secretbox import SecretBox
from gateway.timekeeping import Timekeeper
from gateway.tuya.codec import Digits
from gateway.tuya.discovery import Discovery
from gateway.tuya.frames import Version
from gateway.tuya.link import Endpoint
from gateway.tuya.profiles import Overrides
from gateway.tuya.site import LockEntry, TuyaSite
from gateway.web.tls import context_of, ensure_certificate, fingerprint

_log = structlog.get_logger()


def build_locks(
    config: Config,
    *,
    clock: Clock,
    jitter: random.Random,
    listener: Callable[[LockEvent], None],
    heartbeat: float,
    discovery: Discovery,
) -> TuyaSite:
    """The hubs and locks of the configuration."""
    hubs, locks = devices(config, heartbeat)
    return TuyaSite(
        hubs=hubs,
        locks=locks,
        clock=clock,
        jitter=jitter,
        listener=listener,
        discovery=discovery,
    )


def devices(config: Config, heartbeat: float) -> tuple[list[Endpoint], list[LockEntry]]:
    """How to reach the hubs, and the locks that hang behind them or stand alone."""
    hubs = [_hub(hub, heartbeat) for hub in config.hubs]
    return hubs, [_lock(lock, config.policy.pin_length, heartbeat) for lock in config.locks]


def _hub(hub: Hub, heartbeat: float) -> Endpoint:
    return Endpoint(
        name=hub.name,
        device_id=hub.device_id,
        local_key=hub.local_key.get_secret_value(),
        address=hub.address,
        port=hub.port,
        version=Version(hub.version),
        heartbeat=heartbeat,
    )


def _lock(lock: Lock, pin_length: int, heartbeat: float) -> LockEntry:
    endpoint = None
    if lock.local_key is not None and lock.address is not None and lock.version is not None:
        endpoint = Endpoint(
            name=lock.name,
            device_id=lock.device_id,
            local_key=lock.local_key.get_secret_value(),
            address=lock.address,
            port=lock.port,
            version=Version(lock.version),
            heartbeat=heartbeat,
        )
    own = lock.overrides
    dps = {
        Operation.CREATE: own.dp.create,
        Operation.DELETE: own.dp.delete,
        Operation.MODIFY: own.dp.modify,
    }
    return LockEntry(
        name=lock.name,
        profile=lock.profile,
        pin_lengths=lock.pin_lengths(pin_length),
        hub=lock.hub,
        cid=lock.node_id if lock.hub is not None else None,
        endpoint=endpoint,
        overrides=Overrides(
            dps={operation: dp for operation, dp in dps.items() if dp is not None},
            list_dp=own.dp.list,
            openings=None if own.dp.opening is None else frozenset(own.dp.opening),
            can_modify=own.can_modify,
            digits=None if own.digits is None else Digits(own.digits),
            message_id=own.message_id,
            member_range=_members(own.member_range),
            deadline=own.deadline,
            late=own.late_report,
        ),
    )


def _members(bounds: tuple[int, int] | None) -> range | None:
    return None if bounds is None else range(bounds[0], bounds[1] + 1)


def messages_setup(config: Config, box: SecretBox) -> Setup:
    """Who is told what, and how."""
    site, texts = config.property(), config.messages
    channels: dict[str, Channel] = {}
    for number, one in enumerate(config.notify):
        id_ = box.hash(quote(one.url.get_secret_value())).hex()[:16]
        before = channels.get(id_)
        channels[id_] = Channel(
            id=id_,
            name=f"notify[{number}]",
            url=one.url,
            events=frozenset(one.events) | (before.events if before else frozenset()),
        )
    guest = texts.guest_url
    return Setup(
        site=site,
        texts=Texts(
            language=config.site.language, zone=site.zone, pin=texts.pin, changed=texts.changed
        ),
        channels=tuple(channels.values()),
        guest=None if guest is None else Channel(id=GUEST, name="guest_url", url=guest),
        sending=texts.send,
        addresses={
            unit.name: texts.address if listing.address is None else listing.address
            for unit, listing in zip(site.units, config.listings, strict=True)
        },
    )


def stays_client(
    config: Config, timekeeper: Timekeeper
) -> AbstractAsyncContextManager[StaysClient]:
    """The account at Stays, open inside the block."""
    return StaysClient.open(
        url=config.stays.url,
        client_id=config.stays.client_id.get_secret_value(),
        client_secret=config.stays.client_secret.get_secret_value(),
        clock=timekeeper,
        on_date=timekeeper.hear_stays,
    )


def tls_context(config: Config, folder: Path, now: datetime) -> ssl.SSLContext | None:
    """What the port speaks beside plain HTTP."""
    http = config.http
    if http.tls_cert is not None and http.tls_key is not None:
        return context_of(Path(http.tls_cert), Path(http.tls_key))
    if http.tls == "off" or is_loopback(http.host):
        return None
    cert, key = ensure_certificate(folder, now)
    _log.info("certificate.served", sha256=fingerprint(cert))
    return context_of(cert, key)
