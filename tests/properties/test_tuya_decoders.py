from hypothesis import given, strategies as st

from gateway.domain.model import Operation
from gateway.errors import BadFrameError, BadReportError
from gateway.tuya.codec import MethodLayout, SequenceLayout, TemporaryLayout, from_base64
from gateway.tuya.frames import PREFIX_55AA_BIN, PREFIX_6699_BIN, Cipher, FrameReader, Version

LAYOUTS = (
    MethodLayout(id_width=1, message_id=False),
    MethodLayout(id_width=2, message_id=True),
    TemporaryLayout(),
    SequenceLayout(gap=7),
)
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
