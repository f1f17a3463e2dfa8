"""Countries: names of data sets as ISO 3166-1 alpha-2 codes, for a recipe's `region`, and their side of the road."""

from __future__ import annotations

#: The countries of PhysicalAI-AV, Japan and its neighbours, by the name that data sets use.
_CODES = {
    "austria": "AT",
    "belgium": "BE",
    "bulgaria": "BG",
    "china": "CN",
    "croatia": "HR",
    "cyprus": "CY",
    "czechia": "CZ",
    "czech republic": "CZ",
    "denmark": "DK",
    "estonia": "EE",
    "finland": "FI",
    "france": "FR",
    "germany": "DE",
    "greece": "GR",
    "hungary": "HU",
    "iceland": "IS",
    "ireland": "IE",
    "italy": "IT",
    "japan": "JP",
    "latvia": "LV",
    "lithuania": "LT",
    "luxembourg": "LU",
    "malta": "MT",
    "netherlands": "NL",
    "norway": "NO",
    "poland": "PL",
    "portugal": "PT",
    "romania": "RO",
    "slovakia": "SK",
    "slovenia": "SI",
    "south korea": "KR",
    "spain": "ES",
    "sweden": "SE",
    "switzerland": "CH",
    "taiwan": "TW",
    "united kingdom": "GB",
    "united states": "US",
    "united states of america": "US",
}


#: Where traffic keeps left, of the countries that driving data comes from.
_LEFT = frozenset({"AU", "CY", "GB", "HK", "ID", "IE", "IN", "JP", "MT", "MY", "NZ", "SG", "TH", "ZA"})


def keeps_left(country: str) -> bool:
    """Return whether traffic keeps left in a country, given by name or code."""
    return country_code(country) in _LEFT


def country_code(name: str) -> str:
    """Return the ISO code of a country's name; a code, or an unknown name, is returned in capitals."""
    plain = name.strip().lower().replace("_", " ")
    return _CODES.get(plain, plain.upper())
