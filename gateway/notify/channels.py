"""Where messages go, and what the configuration says of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from gateway.domain import events
from gateway.domain.messages import Sending
from gateway.domain.model import Property
from gateway.notify.texts import Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where messages go. `id` names it in the store, `name` in the log; `events`: what it is told."""

    id: str
    name: str
    url: SecretStr = field(repr=False)
    events: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the configuration says of messages.

    `guest`: the channel to guests, its URL with `{phone}` in it. `addresses`: by unit.
    """

    site: Property
    texts: Texts
    channels: Sequence[Channel] = ()
    guest: Channel | None = None
    sending: Sending
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def hosts(self) -> list[Channel]:
        """Those who are told guests' PINs for them."""
        return [one for one in self.channels if events.PIN_MESSAGE in one.events]

    def told_of(self, event: str) -> list[Channel]:
        """Who is told of an event. That a message did not go is told in any case, where PINs go to a host."""
        asked = [one for one in self.channels if event in one.events]
        return asked or (self.hosts if event == events.MESSAGE_FAILED else [])

    @property
    def everything(self) -> list[Channel]:
        """All channels."""
        return [*self.channels, *self._guests]

    @property
    def for_pins(self) -> list[Channel]:
        """Those that guests' PINs go to."""
        return [*self.hosts, *self._guests]

    @property
    def _guests(self) -> list[Channel]:
        return [] if self.guest is None else [self.guest]
