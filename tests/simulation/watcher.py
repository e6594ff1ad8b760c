"""Watches a story being played: checks every invariant at every tick, change and opening."""

import re
from functools import partial

from gateway.domain import events
from gateway.simulator.families import TemporaryLock
from tests.simulation.knowledge import A_SECOND, Knowledge
from tests.simulation.oracle import GRACE, HOUR, MINUTE, Violation, check_all

# Told the slot, or said whether it did what it was asked; every PIN it was given.
_STANDSTILL = ("the lock never", "the lock refused every PIN")
_AT_REST = {"revoked", "none", "unmapped", "planned"}


class Watcher:
    """The invariants a to i of one world; x: it does not look at Stays; z: it crashed."""

    def __init__(self, world):
        self._world = world
        self.knowledge = Knowledge(world)
        self._told = {}  # stay -> {door: pin}, as the admin tells the guest
        self._owners = {}  # (door, pin) -> set of stays
        self._found = []
        self._held = set()
        self._held_read_at = 0.0
        self._standing = set()  # (stay, door) of which only a person can make an end, as told
        self._kept = set()
        self._ended = {}  # (stay, door) -> facts of the stay when its window had ended
        self._doubled = {}  # (stay, door) -> since when two PINs
        self._inside = set()  # (stay, door) where the PIN has opened during the stay

    def _owners_of(self, door, pin):
        """Whose PIN it is, as far as anybody was told."""
        owners = self._owners.get((door.name, pin), set())
        if self._world.pi.up:
            return owners
        # Nobody can ask now whether it has gone on to the same guest's next stay.
        facts = self._world.account.versions[-1].facts
        kin = {
            other
            for other in facts.keys() - self._told.keys()
            if any(one in facts and facts[other].guest_is(facts[one]) for one in owners)
        }
        return owners | kin

    def _names(self, stays):
        return ", ".join(self._world.code(one) for one in sorted(stays)) or "nobody known"

    # --- PINs ----------------------------------------------------------------------------------

    async def _ask_pins(self, stay):
        """What the admin would tell the guest, by door; None if nobody answers."""
        status, body = await self._world.pi.api(f"/api/admin/reservations/{stay}/pin?reveal=true")
        if status is None:
            return None
        doors = {one["lock"]: one["pin"] for one in body["data"]["doors"]} if status == 200 else {}
        for pin in doors.values():
            for door in self._world.doors:  # it may be at one that the stay has left meanwhile
                self._owners.setdefault((door, pin), set()).add(stay)
            self._world.secrets.add(pin)
        if doors:
            self._told[stay] = doors
        return doors

    def _is_explained(self):
        return all(
            (held.slot, held.pin) in door.foreign or self._owners_of(door, held.pin)
            for door in self._world.doors.values()
            for held in door.lock.codes
        )

    async def _explain(self, *, anew=False):
        """Learn whose the codes on the locks are."""
        if not self._world.pi.up or (self._is_explained() and not anew):
            return
        now = self._world.seconds()
        for stay, one in self._world.account.versions[-1].facts.items():
            begins, ends = self._world.truth.nights(one)
            if begins - 30 * HOUR <= now <= ends + 30 * HOUR or stay not in self._told:
                await self._ask_pins(stay)

    def _opens(self, stay, door):
        pin = self._told.get(stay, {}).get(door.name)
        return pin is not None and door.lock.opens(pin)

    # --- at every change of a lock: d, h -------------------------------------------------------

    def changed(self, door, before, after):
        """A lock carried out a request."""
        world = self._world
        start_at = world.story.start.timestamp()
        for what, codes, others in (("-", before, after), ("+", after, before)):
            for slot, pin, start, end in codes:
                if (slot, pin, start, end) not in others:
                    window = f"{start - start_at:.0f} to {end - start_at:.0f}"
                    world.tell(f"lock {door.name}", f"{what}{slot} ..{pin[-2:]} {window}")
        held = {(slot, pin) for slot, pin, _, _ in after}
        pins = [pin for _, pin in held]
        if any(code not in held for code in door.foreign):
            self._found.append(Violation("h", f"a foreign code of {door.name} was touched"))
        if len(pins) != len(set(pins)):
            self._found.append(Violation("d", f"one PIN twice on {door.name}"))
        world.secrets |= set(pins)
        if any(not self._owners_of(door, pin) for pin in pins):
            world.at(world.seconds() + 2.0, self._explain)

    def raise_found(self):
        """Raise what was found where nothing could be raised.

        Raises:
            Violation: an invariant does not hold.
        """
        if self._world.error is not None:
            raise Violation("z", f"the gateway crashed: {self._world.error!r}")
        if self._found:
            raise self._found[0]

    # --- at every tick -------------------------------------------------------------------------

    async def tick(self):
        """Check all doors."""
        world = self._world
        await self._explain()
        if any(one.event == events.BRAKE_HELD for one in world.notices.told):
            await self._read_held_anew()
        self.knowledge.check_reads()
        sight = self.knowledge.sight()
        for door in world.doors.values():
            try:
                self._check_lock(door, sight)
            except Violation:  # the same guest's next stay may have taken the PIN over
                await self._explain(anew=True)
                await self._read_standstills()
                self._check_lock(door, sight)
        for stay in sight.known.stays_about(sight.now):
            for door in world.doors.values():
                await self._check_inside(stay, door, sight)

    def _check_lock(self, door, sight):
        """b, c, d, g: what is on the lock."""
        opening, pins_of, checks = {}, {}, []
        for held in door.lock.codes:
            if (held.slot, held.pin) in door.foreign:
                continue
            stays = self._owners_of(door, held.pin)
            present = {one for one in stays if self._told.get(one, {}).get(door.name) == held.pin}
            for stay in present or stays:  # a PIN may have gone on to the same guest's other stay
                if not self._is_expired(door, held):
                    pins_of.setdefault(stay, set()).add(held.pin)
            if door.lock.opens(held.pin):
                opening[held.pin] = stays
            checks.append(partial(self._check_gone, door, held, stays, sight))
        checks += [partial(self._check_outsider, door, pin, opening, sight) for pin in opening]
        check_all(*checks, partial(self._check_doubles, door, pins_of, sight))

    def _check_gone(self, door, held, stays, sight):
        """g: what has no right any more has gone ten minutes after the lock can be reached."""
        if not self.knowledge.at_peace(door):
            return
        ended_by_itself = door.plan.trust_window and not door.lock.opens(held.pin)
        if isinstance(door.lock, TemporaryLock) and ended_by_itself:
            return  # where its slot was never told, that counts as revoked
        for stay in stays:
            if self._may_hold(stay, door, sight) or self._is_excused(stay, door, sight):
                return
        where = f"{door.name} (slot {held.slot})"
        raise Violation("g", f"the code of {self._names(stays)} is still on {where}")

    def _is_expired(self, door, held):
        """Is it dead by its own window, on a lock that keeps to windows?"""
        ended = held.end <= self._world.story.start.timestamp() + self._world.seconds()
        return door.plan.trust_window and ended and not door.lock.opens(held.pin)

    def _may_hold(self, stay, door, sight):
        slack = self.knowledge.slack(door)
        return any(
            sight.of(stay).may_hold(stay, door.name, at, slack, ahead=door.plan.trust_window)
            for at in (sight.now, sight.now - GRACE)
        )

    def _is_excused(self, stay, door, sight):
        """Does a person, the brake or a code that nothing can reach stand in the way? Was it told?

        Raises:
            Violation: it was not.
        """
        if stay in self._kept:
            return True
        if stay in self._held:
            code = self._world.code(stay)
            if not any(
                one.event == events.BRAKE_HELD and code in one.detail
                for one in self._world.notices.told
            ):
                raise Violation("g", f"the brake holds {code} and nobody was told")
            return True
        told = self._was_told(stay, door, events.CREDENTIAL_REVOCATION_LATE, events.PIN_AT_RISK)
        return told or self._lingers(stay, door, sight)

    def _was_told(self, stay, door, *kinds):
        subject = f"{self._world.code(stay)}-{door.name}"
        return (stay, door.name) in self._standing or any(
            one.event in kinds and one.subject == subject for one in self._world.notices.told
        )

    async def _read_standstills(self):
        """Which codes does the API call at risk, and beyond what the gateway can do?"""
        status, body = await self._world.pi.api("/api/admin/reservations")
        if status == 200:
            self._note_standstills(body["data"])

    def _note_standstills(self, stays):
        self._standing = {
            (stay["id"], one["lock"])
            for stay in stays
            for one in stay["credentials"]
            if stay["pinStatus"] == "at_risk" and (one["reason"] or "").startswith(_STANDSTILL)
        }

    def _lingers(self, stay, door, sight):
        """It moved to other doors, and those do not open yet, or cannot be relied upon."""
        slack = self.knowledge.slack(door)
        for other in self._world.doors.values():
            if other is door:
                continue
            for window in sight.of(stay).of(stay, other.name)[1]:
                if window is None or window[1] <= sight.now:
                    continue
                if sight.now < window[0] + GRACE + slack or not self.knowledge.at_peace(other):
                    return True
        return False

    def _check_outsider(self, door, pin, opening, sight):
        """b and c: what opens may open."""
        slack, stays = self.knowledge.slack(door), self._owners_of(door, pin)
        if any(sight.of(one).may_open(one, door.name, sight.now, slack) for one in stays):
            return
        names = self._names(stays)
        if stays and not any(
            sight.ever.could_open(one, door.name, sight.now, slack) for one in stays
        ):
            raise Violation(
                "b", f"{door.name} opens for {names} outside every window they ever had"
            )
        if not self.knowledge.at_peace(door):
            return
        if any(self._is_excused(one, door, sight) for one in stays):
            return
        others = {
            other
            for each, owners in opening.items()
            for other in owners
            if each != pin and self._shares_unit(other, stays, sight)
        }
        if others:
            both = f"{names} and for {self._names(others)}"
            raise Violation("c", f"{door.name} opens for {both}, whose stays do not overlap")
        raise Violation("b", f"{door.name} opens for {names} outside their window")

    def _shares_unit(self, other, stays, sight):
        facts = self._world.account.versions[-1].facts
        return any(
            other in facts
            and stay in facts
            and facts[other].listing == facts[stay].listing
            and not sight.known.same_guest(other, stay)
            for stay in stays
        )

    def _check_doubles(self, door, pins_of, sight):
        """d: one live PIN for each stay and lock."""
        for stay, pins in pins_of.items():
            key = (stay, door.name)
            if len(pins) < 2:
                self._doubled.pop(key, None)
                continue
            since = self._doubled.setdefault(key, sight.now)
            if self.knowledge.at_peace(door) and sight.now - since >= GRACE + MINUTE:
                raise Violation("d", f"{self._world.code(stay)} has two PINs on {door.name}")

    # --- a, f: guests get in -------------------------------------------------------------------

    async def _check_inside(self, stay, door, sight):
        """A guest inside the window gets in."""
        if not self._must_open(stay, door, sight):
            return
        if self._opens(stay, door):
            self._inside.add((stay, door.name))
            return
        ends = self._world.truth.nights(self._world.account.versions[-1].facts[stay])[1]
        if sight.now >= ends and (stay, door.name) not in self._inside:
            return  # over when the gateway first saw it there
        if await self._is_answered(stay, door):
            return
        name = f"{self._world.code(stay)} at {door.name}"
        status, active = await self._shown(stay, door)
        await self._ask_pins(stay)  # it may have got another PIN since
        if self._opens(stay, door):
            return
        if active:
            raise Violation("e", f"{name}: called active, and does not open")
        if len(door.lock.codes) >= door.lock.capacity:
            if status != "at_risk":
                raise Violation("a", f"{name}: the lock is full and nobody is told")
            return
        which = "f" if self.knowledge.last_was_faulty() else "a"
        raise Violation(which, f"the guest is locked out: {name}")

    async def _is_answered(self, stay, door):
        """Does the PIN that is shown now open, or was it told why not? Or was it killed meanwhile?"""
        if await self._ask_pins(stay) is None:
            await self._ask_pins(stay)
        await self._read_standstills()
        if not self._world.pi.up or self._opens(stay, door):
            return True
        return self._was_told(stay, door, events.PIN_AT_RISK)

    def _must_open(self, stay, door, sight):
        facts = self._world.account.versions[-1].facts.get(stay)
        slack = self.knowledge.slack(door)
        if facts is None or not sight.has_read:
            return False
        views = sight.about(facts.listing)
        windows = views.of(stay, door.name)[1]
        if any(one and one[1] - slack <= sight.now for one in windows):
            self._ended[stay, door.name] = facts
        if self._ended.get((stay, door.name)) == facts:
            return False  # a window that has ended is reopened only by the stay itself
        only_full = set(door.faults) == {"full"} and self._world.pi.up
        if not only_full and not self.knowledge.at_peace(door):
            return False
        return views.must_open(stay, door.name, sight.now, slack)

    async def _shown(self, stay, door):
        """What the API says: the stay's pinStatus, and whether its PIN is active on the door."""
        status, body = await self._world.pi.api(f"/api/admin/reservations/{stay}")
        if status != 200:
            return None, False
        doors = {one["lock"]: one["isActive"] for one in body["data"]["credentials"]}
        return body["data"]["pinStatus"], doors.get(door.name, False)

    # --- people --------------------------------------------------------------------------------

    async def _read_held_anew(self):
        """Only the admin and a run change what the brake holds; a run is written within the hour."""
        last = self._world.account.reads[-1].ended
        if last is None or self._held_read_at <= last + HOUR:
            await self._read_held()

    async def _read_held(self):
        asked_at = self._world.seconds()
        status, body = await self._world.pi.api("/api/admin/reconciliation/held")
        if status == 200:
            self._held = {one["id"] for one in body["data"]["held"]}
            self._held_read_at = asked_at

    async def decide(self, *, confirm):
        """The admin decides what the brake holds."""
        await self._read_held()
        action = "confirm" if confirm else "reject"
        status, body = await self._world.pi.api(
            "/api/admin/reconciliation/held", method="POST", json={"action": action}
        )
        self._world.tell("held", f"{action} {body['data'] if status == 200 else status}")
        if status == 200 and not confirm:
            self._kept |= self._held
        await self._read_held()

    async def guest_types(self, stay):
        """The guest of a stay types the PIN at its doors, whether or not they should."""
        world = self._world
        await self._ask_pins(stay)
        await self._read_standstills()
        sight = self.knowledge.sight()
        for name, pin in sorted(self._told.get(stay, {}).items()):
            door = world.doors[name]
            opened = door.lock.try_pin(pin)
            world.tell("typed", f"{world.code(stay)} at {name}: {'in' if opened else 'out'}")
            if opened:
                self._check_outsider(door, pin, {pin: self._owners_of(door, pin)}, sight)
            else:
                await self._check_inside(stay, door, sight)

    # --- what the API says: e, g ---------------------------------------------------------------

    async def look(self):
        """What the API calls active opens; what has gone is called so."""
        world = self._world
        status, body = await world.pi.api("/api/admin/reservations")
        if status != 200:
            return
        self._note_standstills(body["data"])
        sight = self.knowledge.sight()
        for stay in body["data"]:
            for one in stay["credentials"]:
                door = world.doors[one["lock"]]
                world.trace.append(f"shown {one['id']} {one['evidence']} {one['isActive']}")
                if one["isActive"] and self.knowledge.slack(door) == A_SECOND and door.well:
                    await self._check_shown(stay["id"], door, one)
            self._check_said(stay, sight)

    async def _check_shown(self, stay, door, shown):
        if self._opens(stay, door) or await self._ask_pins(stay) is None:
            return
        mine = {
            pin
            for (name, pin), stays in self._owners.items()
            if name == door.name and stay in stays
        }
        if not any(door.lock.opens(pin) for pin in mine):
            raise Violation("e", f"{shown['id']} is called active and does not open {door.name}")

    def _check_said(self, stay, sight):
        long_id = stay["id"]
        doors = [self._world.doors[one["lock"]] for one in stay["credentials"]]
        if stay["pinStatus"] in _AT_REST or not doors or not self.knowledge.at_peace(*doors):
            return
        if any(
            self._may_hold(long_id, door, sight) or self._is_excused(long_id, door, sight)
            for door in doors
        ):
            return
        said = f"{stay['code']} has no right to a PIN and is called {stay['pinStatus']}"
        raise Violation("g", said)

    # --- at the end: i -------------------------------------------------------------------------

    async def check_log(self, log):
        """No secret stands in the log by itself.

        Raises:
            Violation: one does.
            RuntimeError: the story proves nothing.
        """
        if "Error handling request" in log or not self.knowledge.sight().has_read:
            raise RuntimeError("the simulated account does not work: nothing was tried")
        for secret in self._world.secrets:
            if secret not in log:
                continue
            pattern = rf"(?<![0-9A-Za-z.]){re.escape(secret)}(?![0-9A-Za-z])"
            found = re.search(pattern, log)
            if found is not None:
                before = log[max(0, found.start() - 150) : found.start()]
                raise Violation("i", f"a secret in the log: {before}")
