"""Envelopes and keys, against an implementation that is not ours."""

from __future__ import annotations

import base64
import copy
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from receipt_house import Office, hide_cryptography

from pytest_anchorgate.receipt.canonical import canonical, parse_canonical
from pytest_anchorgate.receipt.dsse import IN_TOTO, Envelope, Signature, pae, seal
from pytest_anchorgate.receipt.errors import ReceiptUnusable, SigningMissing
from pytest_anchorgate.receipt.keys import PublicKey, new_key_pair, read_private_key, read_public_key
from pytest_anchorgate.strict_json import Malformed

dsse = pytest.importorskip("securesystemslib.dsse")
signing = pytest.importorskip("securesystemslib.signer")
exceptions = pytest.importorskip("securesystemslib.exceptions")


def their_key(office: Office) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    loaded = load_pem_public_key(office.public.read_bytes())
    return signing.SSlibKey.from_crypto(loaded, keyid=office.key.key_id)


def test_the_encoding_of_the_specification() -> None:
    # The example of https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.text(), st.binary())
def test_the_encoding_is_theirs(kind: str, payload: bytes) -> None:
    assert pae(kind, payload) == dsse.Envelope(payload, kind, {}).pae()


def test_they_verify_what_we_sign(office: Office) -> None:
    for line in office.receipt(signer=office.key).splitlines():
        envelope = dsse.Envelope.from_dict(copy.deepcopy(json.loads(line)))
        assert envelope.payload_type == IN_TOTO
        assert set(envelope.verify([their_key(office)], 1)) == {office.key.key_id}


def test_they_refuse_what_we_refuse(office: Office) -> None:
    line = json.loads(office.receipt(signer=office.key).splitlines()[1])
    payload = base64.b64decode(line["payload"]).replace(b'"PASS"', b'"FAIL"')
    envelope = dsse.Envelope.from_dict({**copy.deepcopy(line), "payload": base64.b64encode(payload).decode()})
    with pytest.raises(exceptions.VerificationError):
        envelope.verify([their_key(office)], 1)
    ours = Envelope.from_line(canonical(line), "line")
    assert not office.key.public.verifies(ours.signatures[0].value, pae(IN_TOTO, payload))


def test_we_verify_what_they_sign(office: Office) -> None:
    signer = signing.CryptoSigner.generate_ed25519()
    payload = canonical({"any": "thing"})
    envelope = dsse.Envelope(payload, IN_TOTO, {})
    envelope.sign(signer)
    ours = Envelope.from_line(canonical(envelope.to_dict()), "line")
    raw = bytes.fromhex(signer.public_key.keyval["public"]) if _is_hex(signer) else _raw_of(signer)
    assert ours.payload == payload
    assert PublicKey(raw).verifies(ours.signatures[0].value, pae(IN_TOTO, ours.payload))
    assert not PublicKey(raw).verifies(ours.signatures[0].value, pae(IN_TOTO, payload + b" "))


def _is_hex(signer: Any) -> bool:
    return len(signer.public_key.keyval["public"]) == 64


def _raw_of(signer: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key: Any = load_pem_public_key(signer.public_key.keyval["public"].encode())
    raw: bytes = key.public_bytes_raw()
    return raw


def test_a_receipt_signed_by_them_verifies(office: Office) -> None:
    """The private key in their hands gives the same receipt: ed25519 has one signature for a message."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = load_pem_private_key((office.root / "key").read_bytes(), None)
    receipt = office.receipt(signer=office.key)
    lines = []
    for line in receipt.splitlines():
        envelope = dsse.Envelope(base64.b64decode(json.loads(line)["payload"]), IN_TOTO, {})
        envelope.sign(signing.CryptoSigner(private, their_key(office)))
        lines.append(canonical(envelope.to_dict()) + b"\n")
    assert b"".join(lines) == receipt
    assert office.verify(b"".join(lines), key=office.public).trusted


@given(st.binary(max_size=200), st.lists(st.binary(max_size=80), max_size=3))
def test_envelopes_come_back_as_they_were(payload: bytes, signatures: list[bytes]) -> None:
    envelope = Envelope(payload, tuple(Signature(f"key {i}", sig) for i, sig in enumerate(signatures)))
    assert Envelope.from_line(envelope.to_line(), "line") == envelope
    assert seal(payload, None) == Envelope(payload)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'{"payload":"e30=","payloadType":"text/plain","signatures":[]}',
        b'{"payload":"e31=","payloadType":"application/vnd.in-toto+json","signatures":[]}',
        b'{"payload":"e3 0=","payloadType":"application/vnd.in-toto+json","signatures":[]}',
        b'{"payload":1,"payloadType":"application/vnd.in-toto+json","signatures":[]}',
        b'{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":{}}',
        b'{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"a"}]}',
        b'{"payload":"e30=","payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[]}',
        b'{"payload":"\xff","payloadType":"application/vnd.in-toto+json","signatures":[]}',
    ],
)
def test_lines_that_are_no_envelope(line: bytes) -> None:
    with pytest.raises(Malformed, match=r"^line 7"):
        Envelope.from_line(line, "line 7")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_the_canonical_form_comes_back(value: Any) -> None:
    spelled = canonical(value)
    assert parse_canonical(spelled, "it") == value
    assert json.loads(spelled) == value


@pytest.mark.parametrize("value", [1.0, float("nan"), 2**53, (1,), {1: 2}, b"x", {"a": [{"b": 0.5}]}])
def test_what_may_not_be_signed(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


@pytest.mark.parametrize(
    "text", [b"1.0", b'{"a":1,"a":1}', b'{ "a":1}', b'{"b":1,"a":1}', b"NaN", b'"\\u0041"', b"1e2"]
)
def test_other_spellings_are_refused(text: bytes) -> None:
    with pytest.raises(Malformed, match=r"^it "):
        parse_canonical(text, "it")


def test_a_new_pair_is_private_and_never_overwritten(tmp_path: Path) -> None:
    public, key = new_key_pair(tmp_path / "gate.pem")
    assert public == tmp_path / "gate.pem.pub"
    assert stat.S_IMODE((tmp_path / "gate.pem").stat().st_mode) == 0o600
    assert read_public_key(public) == key == read_private_key(tmp_path / "gate.pem").public
    before = (tmp_path / "gate.pem").read_bytes(), public.read_bytes()
    with pytest.raises(ReceiptUnusable, match="never overwritten"):
        new_key_pair(tmp_path / "gate.pem")
    public.unlink()
    with pytest.raises(ReceiptUnusable, match="never overwritten"):
        new_key_pair(tmp_path / "gate.pem")
    assert not public.exists()
    assert (tmp_path / "gate.pem").read_bytes() == before[0]
    (tmp_path / "other.pub").write_bytes(b"mine")
    with pytest.raises(ReceiptUnusable, match="never overwritten"):
        new_key_pair(tmp_path / "other")
    assert not (tmp_path / "other").exists()
    with pytest.raises(ReceiptUnusable, match="cannot be written: No such file"):
        new_key_pair(tmp_path / "nowhere" / "key")


def test_keys_of_other_kinds(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    other = ec.generate_private_key(ec.SECP256R1())
    none = form.NoEncryption()
    pem = other.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, none)
    (tmp_path / "ec").write_bytes(pem)
    with pytest.raises(ReceiptUnusable, match="not an ed25519 private key"):
        read_private_key(tmp_path / "ec")
    public = other.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "ec.pub").write_bytes(public)
    with pytest.raises(ReceiptUnusable, match="not an ed25519 public key"):
        read_public_key(tmp_path / "ec.pub")
    secret = form.BestAvailableEncryption(b"x")
    locked = ed25519.Ed25519PrivateKey.generate().private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, secret
    )
    (tmp_path / "locked").write_bytes(locked)
    with pytest.raises(ReceiptUnusable, match="is encrypted"):
        read_private_key(tmp_path / "locked")
    with pytest.raises(ReceiptUnusable, match="not an ed25519 private key"):
        read_private_key(tmp_path / "ec.pub")
    with pytest.raises(ReceiptUnusable, match="cannot be read"):
        read_private_key(tmp_path)


def test_without_cryptography(office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    signed = office.receipt(signer=office.key)
    hide_cryptography(monkeypatch)
    assert not office.verify(office.receipt()).trusted
    words = r"pip install 'pytest-anchorgate\[sign\]'"
    for attempt in (
        lambda: office.verify(signed),
        lambda: office.verify(signed, key=office.public),
        lambda: read_private_key(office.root / "key"),
        lambda: new_key_pair(tmp_path / "key"),
    ):
        with pytest.raises(SigningMissing, match=words):
            attempt()
    assert not list(tmp_path.iterdir())
