"""An operator writes down whom to trust (C2SP tlog-policy), and a reader of a receipt holds to it."""

from __future__ import annotations

import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.merkle import receipt
from audit.merkle.checkpoint import ED25519, Vkey
from audit.merkle.policy import Policy, PolicyInvalid
from audit.merkle.proofs import inclusion
from audit.merkle.receipt import Receipt, ReceiptInvalid
from tests.audit.notes import CLASSIC, KEYS, MODERN, ORIGIN, Witness, entries_of, hashes_of, head_of, note_of

WITNESSES = {
    name: Witness(f"{name.lower()}.example", Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)))
    for number, name in enumerate(("X1", "X2", "X3", "Y1", "Y2", "Y3"), start=20)
}
LINES = "".join(f"witness {name} {witness.vkey}\n" for name, witness in WITNESSES.items())
# The example of the specification.
EXAMPLE = f"""# whom we trust
log {KEYS.vkeys[0]} https://log.example/

  \t{LINES}
group X-witnesses 2 X1 X2 X3
group Y-witnesses\tany Y1  Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def test_the_example_of_the_specification_counts_its_two_groups() -> None:
    policy = Policy.parse(EXAMPLE)
    assert policy.log_keys == (KEYS.vkeys[0],)
    assert policy.logs[0].url == "https://log.example/"
    assert list(policy.witnesses) == list(WITNESSES)
    for chosen in itertools.product((False, True), repeat=6):
        names = [name for name, present in zip(WITNESSES, chosen, strict=True) if present]
        assert policy.satisfied(names) == (sum(chosen[:3]) >= 2 and any(chosen[3:]))
    # A group is not a witness: naming it is no cosignature.
    assert not policy.satisfied(["X-witnesses", "Y-witnesses", "X-and-Y"])
    assert not policy.satisfied(["X1", "X1", "Y1"])


def test_a_policy_is_written_as_it_is_read() -> None:
    for text in (EXAMPLE, "quorum none\n", f"witness W {MODERN.vkey} https://w.example/\nquorum W\n"):
        policy = Policy.parse(text)
        assert Policy.parse(str(policy)) == policy
    assert str(Policy.parse("quorum none\n")) == "quorum none\n"
    assert Policy().satisfied([])


W, V = f"witness W {CLASSIC.vkey}", f"witness V {MODERN.vkey}"
SAME_KEY = Vkey("renamed.example", CLASSIC.vkey.algorithm, CLASSIC.vkey.public_key)
LOG = f"log {KEYS.vkeys[0]}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        (f"{W}\n", 2),
        ("quorum none", 1),
        (f"{W}\nquorum W", 2),
        ("quorum\n", 1),
        ("quorum none none\n", 1),
        ("quorum none\nquorum none\n", 2),
        ("quorum W\n", 1),
        (f"quorum W\n{W}\n", 1),
        ("Quorum none\n", 1),
        ("quorum none # as agreed\n", 1),
        ("quorum\u00a0none\n", 1),
        ("quorum none\r\n", 1),
        ("quorum none\x0b\n", 1),
        ("quorum none\x7f\n", 1),
        ("quorum none\n\x00\n", 2),
        ("log\nquorum none\n", 1),
        ("log nonsense\nquorum none\n", 1),
        (f"{LOG} a b\nquorum none\n", 1),
        (f"{LOG}\n{LOG} https://log.example/\nquorum none\n", 2),
        (f"log {CLASSIC.vkey}\nquorum none\n", 1),
        (f"log {str(KEYS.vkeys[0])[:-4]}\nquorum none\n", 1),
        (f"witness W {KEYS.vkeys[0]}\nquorum W\n", 1),
        (f"witness W {Vkey('w.example', 4, (1).to_bytes(32, 'little'))}\nquorum W\n", 1),
        (f"witness none {CLASSIC.vkey}\nquorum none\n", 1),
        (f"{W}\n{W}\nquorum W\n", 2),
        (f"{W}\nwitness V {SAME_KEY}\nquorum W\n", 2),
        (f"{W}\ngroup W any W\nquorum W\n", 2),
        (f"{W}\ngroup none any W\nquorum none\n", 2),
        (f"{W}\ngroup g any\nquorum g\n", 2),
        (f"{W}\ngroup g 0 W\nquorum g\n", 2),
        (f"{W}\ngroup g 2 W\nquorum g\n", 2),
        (f"{W}\ngroup g 01 W\nquorum g\n", 2),
        (f"{W}\ngroup g +1 W\nquorum g\n", 2),
        (f"{W}\ngroup g \u0661 W\nquorum g\n", 2),
        (f"{W}\ngroup g {'9' * 5000} W\nquorum g\n", 2),
        (f"{W}\ngroup g most W\nquorum g\n", 2),
        (f"{W}\ngroup g all g\nquorum g\n", 2),
        (f"{W}\ngroup g all none\nquorum g\n", 2),
        (f"{W}\ngroup g 2 W W\nquorum g\n", 2),
        (f"{W}\n{V}\ngroup g any W\ngroup h all g V W\nquorum h\n", 4),
        ("\n" * 5000 + "quorum none\n", 4096),
    ],
)
def test_a_policy_that_could_be_read_in_two_ways_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        Policy.parse(text)
    assert refused.value.line == line
    assert str(refused.value).startswith(f"line {line}: ")


def test_a_receipt_holds_under_a_policy_only_with_its_quorum() -> None:
    policy = Policy.parse(EXAMPLE)
    head, path = head_of(9, of=9), tuple(inclusion(hashes_of(9), 4, 9))

    def check(*names: str, entry: bytes = entries_of(9)[4], index: int = 4) -> object:
        note = note_of(head, *(WITNESSES[name] for name in names))
        return receipt.verify(Receipt(index, path, note), entry, policy.log_keys, policy)

    assert check("X1", "X3", "Y2") == head
    assert check(*WITNESSES) == head
    for short in ((), ("X1", "X2"), ("X1", "Y1"), ("Y1", "Y2", "Y3")):
        with pytest.raises(ReceiptInvalid, match="quorum"):
            check(*short)
    with pytest.raises(ReceiptInvalid):
        check("X1", "X3", "Y2", entry=entries_of(9)[5])
    with pytest.raises(ReceiptInvalid):
        check("X1", "X3", "Y2", index=5)
    with pytest.raises(ReceiptInvalid):
        receipt.verify(Receipt(4, path, note_of(head, *WITNESSES.values())), entries_of(9)[4], [], policy)


def test_a_witness_whose_signature_does_not_hold_rejects_the_receipt_even_when_others_are_enough() -> None:
    policy = Policy.parse(EXAMPLE)
    head, path = head_of(9, of=9), tuple(inclusion(hashes_of(9), 4, 9))
    enough = note_of(head, WITNESSES["X1"], WITNESSES["X2"], WITNESSES["Y1"])
    false = WITNESSES["Y3"].line(head_of(8, of=9))
    with pytest.raises(ReceiptInvalid):
        receipt.verify(Receipt(4, path, enough + false), entries_of(9)[4], policy.log_keys, policy)
    unlisted = Witness("x1.example", Ed25519PrivateKey.from_private_bytes(bytes([77] * 32)))
    weak = note_of(head, unlisted, WITNESSES["X2"], WITNESSES["Y1"])
    with pytest.raises(ReceiptInvalid, match="quorum"):
        receipt.verify(Receipt(4, path, weak), entries_of(9)[4], policy.log_keys, policy)
    assert Vkey(ORIGIN, ED25519, KEYS.vkeys[0].public_key) == policy.log_keys[0]
