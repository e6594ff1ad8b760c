"""All pages and their addresses, and how one signs in."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.access import ManualAccess
from gateway.acts import Acts
from gateway.clock import Clock
from gateway.domain import events
from gateway.domain.alerts import Condition
from gateway.domain.matching import Match
from gateway.domain.model import Property
from gateway.store import audit
from gateway.store.database import Database, Session
from gateway.web.app import Access
from gateway.web.auth import BadTokens
from gateway.web.links import PATH as SIGN_IN, SignInLinks
from gateway.web.page.access import AccessPages
from gateway.web.page.daemon import Daemon
from gateway.web.page.frame import Ask, Channel, Frame, Place, asset, form_of, page_in, see
from gateway.web.page.front import Explain, FrontPage
from gateway.web.page.house import HousePages
from gateway.web.page.stays import StayPages
from gateway.web.page.visitors import Sessions, choose_language, is_from_here
from gateway.web.page.words import LANGUAGES
from gateway.web.reveals import Reveals


class Pages:
    """The routes of the page."""

    def __init__(
        self,
        *,
        frame: Frame,
        front: FrontPage,
        stays: StayPages,
        access: AccessPages,
        house: HousePages,
        door: "FrontDoor",
    ) -> None:
        self._frame = frame
        self._front = front
        self._stays = stays
        self._access = access
        self._house = house
        self._door = door

    def routes(self, prefix: str) -> list[web.RouteDef]:  # noqa: ARG002 - the page is not under it
        """The routes of this part."""
        shown, done = self._frame.shown, self._frame.done
        stay = "/stays/{id}"
        return [
            web.get("/", shown(self._front.show)),
            web.get("/stays", shown(self._stays.listed)),
            web.get(stay, shown(self._stays.show)),
            web.post(f"{stay}/reveal", done(self._stays.reveal)),
            web.post(f"{stay}/message", done(self._stays.message)),
            web.post(f"{stay}/reprocess", done(self._stays.reprocess)),
            web.post(f"{stay}/reissue", done(self._stays.reissue)),
            web.post(f"{stay}/revoke", done(self._stays.revoke)),
            web.get("/access", shown(self._access.show)),
            web.post("/access", done(self._access.give)),
            web.post("/access/{id}/end", done(self._access.end)),
            web.get("/locks", shown(self._house.locks)),
            web.get("/runs", shown(self._house.runs)),
            web.post("/runs", done(self._house.run)),
            web.get("/held", shown(self._house.held)),
            web.post("/held", done(self._house.decide)),
            web.get("/matching", shown(self._house.matching)),
            web.post("/sign-out", done(self._door.leave)),
            web.get(SIGN_IN, self._door.show),
            web.post(SIGN_IN, self._door.enter),
            web.post("/language", self._door.language),
            web.get("/assets/{name}", asset),
        ]

    def lost(self, request: web.Request) -> web.Response:
        """There is no such page."""
        return self._frame.problem(request, self._frame.words(request), 404, "not_found")


class FrontDoor:
    """Signing in and out, and the language: what those may ask who have not signed in."""

    def __init__(
        self,
        *,
        frame: Frame,
        sessions: Sessions,
        links: SignInLinks,
        channel: Channel,
        database: Database,
        clock: Clock,
    ) -> None:
        self._frame = frame
        self._sessions = sessions
        self._links = links
        self._channel = channel
        self._database = database
        self._clock = clock
        self._bad = BadTokens()

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The form. A link is not used up by looking at it: messengers look at every link."""
        if self._must_be_safe(request):
            return see(f"https://{request.host}{request.path_qs}")
        code = request.query.get("link", "")
        stale = bool(code) and not self._links.is_open(code)
        return self._form(request, code="" if stale else code, problem="link" if stale else None)

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """Sign in with a token, or with the code of a link."""
        words = self._frame.words(request)
        if self._must_be_safe(request):
            return self._frame.problem(request, words, 403, "insecure_channel")
        if not is_from_here(request):
            return self._frame.problem(request, words, 403, "foreign_form")
        address, now = request.remote or "", self._clock.monotonic()
        if not self._channel.is_local(address) and self._bad.too_many(address, now):
            return self._frame.problem(request, words, 429, "too_many_attempts")
        fields = {name: values[0] for name, values in (await form_of(request)).items()}
        code = fields.get("link", "")
        token = self._links.take(code) if code else "".join(fields.get("token", "").split())
        claims = self._sessions.claims(token or "")
        if token is None or claims is None:
            self._bad.count(address, now)
            return self._form(request, code="", problem="link" if code else "token", status=401)
        how = "with a link" if code else "with a token"
        await self._note(claims.subject, f"{how}, from {address}")
        response = see(page_in(fields.get("next", "/")))
        self._sessions.begin(request, response, token)
        return response

    async def leave(self, ask: Ask) -> web.Response:
        """Sign out in this browser."""
        response = see(SIGN_IN)
        self._sessions.end(ask.request, response)
        return response

    async def language(self, request: web.Request) -> web.StreamResponse:
        """Choose the language."""
        words = self._frame.words(request)
        if not is_from_here(request):
            return self._frame.problem(request, words, 403, "foreign_form")
        fields = {name: values[0] for name, values in (await form_of(request)).items()}
        response = see(page_in(fields.get("back", "/")))
        if fields.get("language") in LANGUAGES:
            choose_language(request, response, fields["language"])
        return response

    def _must_be_safe(self, request: web.Request) -> bool:
        return self._channel.has_tls and not self._channel.is_safe(request)

    def _form(
        self, request: web.Request, *, code: str, problem: str | None, status: int = 200
    ) -> web.Response:
        return self._frame.bare(
            request,
            "sign-in.html",
            status=status,
            here="sign-in",
            code=code,
            problem=problem,
            next=page_in(request.query.get("next", "/")),
        )

    async def _note(self, actor: str, detail: str) -> None:
        async def body(session: Session) -> None:
            await audit.append(
                session,
                at=self._clock.now(),
                actor=actor,
                event=events.ADMIN_SIGNED_IN,
                detail=detail,
            )

        await self._database.transaction(body)


def build_pages(
    *,
    access: Access,
    has_tls: bool,
    links: SignInLinks,
    place: Callable[[], Place],
    property_: Callable[[], Property],
    daemon: Daemon,
    database: Database,
    reveals: Reveals,
    acts: Acts,
    manual: ManualAccess,
    holds_weekly: Callable[[str], bool],
    worries: Callable[[], Awaitable[list[Condition]]],
    explain: Explain,
    suggestions: Callable[[], Awaitable[list[tuple[Match, bool]]]],
    clock: Clock,
) -> Pages:
    """The page, put together."""
    channel = Channel(is_local=access.is_local, insecure_lan=access.insecure_lan, has_tls=has_tls)
    sessions = Sessions(secret=access.secret, clock=clock)
    frame = Frame(sessions=sessions, channel=channel, place=place, clock=clock)
    return Pages(
        frame=frame,
        front=FrontPage(
            frame=frame,
            database=database,
            property_=property_,
            worries=worries,
            explain=explain,
            daemon=daemon,
        ),
        stays=StayPages(frame=frame, database=database, reveals=reveals, acts=acts, daemon=daemon),
        access=AccessPages(
            frame=frame,
            given=manual,
            database=database,
            property_=property_,
            holds_weekly=holds_weekly,
            daemon=daemon,
        ),
        house=HousePages(
            frame=frame,
            database=database,
            property_=property_,
            daemon=daemon,
            suggestions=suggestions,
        ),
        door=FrontDoor(
            frame=frame,
            sessions=sessions,
            links=links,
            channel=channel,
            database=database,
            clock=clock,
        ),
    )
