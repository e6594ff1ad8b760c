"""What `gateway match` prints to paste."""

import tomllib

from gateway.cli.match import as_toml


def test_the_suggestions_are_listings_to_paste():
    def one(lock, code, name):
        return {"lock": lock, "listing": {"id": f"long-{name}", "code": code, "name": name}}

    text = as_toml(
        [
            one("apt-101-b", "AB01C", 'Apto "101" ção'),
            one("apt-101-a", "AB01C", 'Apto "101" ção'),
            one("apt-102", None, "Apto 102"),
        ]
    )
    assert tomllib.loads(text)["listings"] == [
        {"stays_id": "AB01C", "name": 'Apto "101" ção', "locks": ["apt-101-a", "apt-101-b"]},
        {"stays_id": "long-Apto 102", "name": "Apto 102", "locks": ["apt-102"]},
    ]
