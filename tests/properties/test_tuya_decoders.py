from hypothesis import given, strategies as st

from gateway.domain.model import Operation
from gateway.errors import BadFrameError, BadReportError
from gateway.tuya.codec import from_base64
from gateway.tuya.discovery import read_broadcast
from gateway.tuya.frames import PREFIX_55AA_BIN, PREFIX_6699_BIN, Cipher, FrameReader, Version
from gateway.tuya.profiles import PROFILES

LAYOUTS = tuple(profile.layout for profile in PROFILES.values())
LISTS = tuple(profile.listing for profile in PROFILES.values() if profile.listing is not None)
chunks = st.one_of(
    st.binary(max_size=60), st.sampled_from([PREFIX_55AA_BIN, PREFIX_6699_BIN, b"\x00\x00\xaa\x55"])
)


@given(st.lists(chunks, max_size=20), st.sampled_from(list(Version)))
def test_no_bytes_crash_the_frame_decoder_or_pass_for_a_frame(pieces, version):
    cipher = Cipher(version, b"0123456789abcdef")
    reader = FrameReader()
    for piece in pieces:
        for raw in reader.feed(piece):
            try:
                frame = cipher.decode(raw)
            except BadFrameError:
                continue
            raise AssertionError(f"accepted {frame}")


@given(
    st.one_of(st.binary(max_size=16), st.text(max_size=24), st.none(), st.integers()),
    st.sampled_from(LAYOUTS),
    st.sampled_from(list(Operation)),
)
def test_no_report_crashes_its_decoder(value, layout, operation):
    try:
        raw = value if isinstance(value, bytes) else from_base64(value)
        layout.report(operation, raw)
    except BadReportError:
        pass


@given(st.binary(max_size=90), st.sampled_from(LISTS))
def test_no_list_crashes_its_decoder(raw, listing):
    try:
        packet = listing.packet(raw)
    except BadReportError:
        return
    assert packet.count is not None or len(raw) == 2 + len(raw[2:])


@given(st.one_of(st.binary(max_size=200), st.lists(chunks, max_size=6).map(b"".join)))
def test_no_datagram_passes_for_a_device(data):
    assert read_broadcast(data, "192.168.1.9") is None


@given(
    st.lists(st.integers(1, 40), max_size=12),
    st.sampled_from(list(Version)),
    st.lists(st.binary(max_size=40), min_size=1, max_size=5),
    st.binary(max_size=7),
)
def test_frames_are_read_whole_however_the_stream_is_cut(cuts, version, payloads, garbage):
    cipher = Cipher(version, b"0123456789abcdef")
    frames = [cipher.encode(9, payload, number) for number, payload in enumerate(payloads, 1)]
    stream = garbage.replace(b"\x00", b"x").join([b"", *frames])
    reader, found = FrameReader(), []
    for size in [*cuts, len(stream)]:
        found += reader.feed(stream[:size])
        stream = stream[size:]

    assert found == frames
