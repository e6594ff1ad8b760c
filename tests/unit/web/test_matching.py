"""What `gateway match` and the page print to paste."""

import tomllib

from gateway.web.matching import as_toml


def test_the_suggestions_are_listings_to_paste():
    text = as_toml(
        [
            ("apt-101-b", "AB01C", 'Apto "101" ção'),
            ("apt-101-a", "AB01C", 'Apto "101" ção'),
            ("apt-102", "long-Apto 102", "Apto 102"),
        ]
    )
    assert tomllib.loads(text)["listings"] == [
        {"stays_id": "AB01C", "name": 'Apto "101" ção', "locks": ["apt-101-a", "apt-101-b"]},
        {"stays_id": "long-Apto 102", "name": "Apto 102", "locks": ["apt-102"]},
    ]
