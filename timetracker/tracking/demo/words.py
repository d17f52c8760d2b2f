"""The vocabulary of the demo data. Every name is invented; addresses are of example domains."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CLIENT_FIRST",
    "CLIENT_SECOND",
    "CLIENT_SUFFIX",
    "COMPANY",
    "EXPENSES",
    "GIVEN_NAMES",
    "INTERNAL",
    "KINDS",
    "STREETS",
    "SURNAMES",
    "TAGS",
    "TIME_ZONES",
    "Kind",
]

COMPANY = "Example Studio"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIVEN_NAMES = _words("""
    Robin Kim Alex Sasha Noa Charlie Jamie Toni Mika Jo Sam Max Kit Luca Ari Billie Casey Dana Eli Finley
    Gale Harper Indy Jules Kai Lee Morgan Nico Parker Quinn Remy Sage Taylor Uma Val Wren Yuki Zoe
""")
SURNAMES = _words("""
    Sample Specimen Placeholder Example Template Draft Model Pattern Mockup Outline Sketch Excerpt Instance Prototype
    Figure Preview Proof Blank Default Demo Dummy Fiction Generic Standard Variable Token Stencil Replica Rough Copy
""")
# All in Europe: a working day there begins and ends on the same day in UTC.
TIME_ZONES = ("Europe/Berlin", "Europe/Lisbon", "Europe/London", "Europe/Stockholm", "Europe/Berlin", "Europe/Vienna")

CLIENT_FIRST = _words("Sample Example Specimen Placeholder Generic Fictional Anytown Model Standard Template")
CLIENT_SECOND = _words("""
    Bakery Logistics Clinic Insurance Brewery Library Museum Airline Hardware Foods Dental Energy Publishing Textiles
    Architects Travel Furniture Optics Forestry Ferries Ceramics Bicycles Telecom Robotics Theatre Nursery Chemicals
    Cinema Housing Railways
""")
CLIENT_SUFFIX = {"EUR": "GmbH", "USD": "Inc.", "GBP": "Ltd", "CHF": "AG", "SEK": "AB"}
STREETS = ("Sample Street", "Example Road", "Placeholder Lane", "Specimen Square", "Template Avenue", "Model Way")

TAGS = ("", "", "", "", "remote", "remote", "meeting", "on-site", "on-site, workshop", "meeting, remote", "urgent", "review")


@dataclass(frozen=True)
class Kind:
    """A kind of project: its code, its name, its tasks, and what people write about their time on it."""

    code: str
    name: str
    tasks: tuple[str, ...]
    notes: tuple[str, ...]


def _notes(verbs: str, things: str) -> tuple[str, ...]:
    return tuple(f"{verb} {thing}" for verb in verbs.split("|") for thing in things.split("|"))


KINDS = (
    Kind(
        "WEB",
        "Website relaunch",
        (
            "Sitemap and wireframes",
            "Page templates",
            "Content migration",
            "Search and filters",
            "Accessibility review",
            "Launch checklist",
            "Contact forms",
            "Hosting set-up",
        ),
        _notes(
            "Built|Reworked|Fixed spacing in|Reviewed|Wrote tests for|Cleaned up",
            "the product page template|the header navigation|the contact form|the image gallery|the search results|the cookie notice|"
            "the footer links|the news overview",
        )
        + (
            "Call with the client about open points of the relaunch",
            "Moved 40 articles from the old site, checked redirects",
            "Page speed: smaller images, fonts loaded later",
            "Keyboard test of the menu, two findings fixed",
        ),
    ),
    Kind(
        "BRD",
        "Brand refresh",
        ("Research", "Logo drafts", "Colour and type", "Style guide", "Stationery", "Icon set"),
        _notes(
            "Sketched|Refined|Presented|Prepared print files of|Compared variants of",
            "the word mark|the colour palette|the business cards|the icon set|the letterhead|the signage",
        )
        + ("Workshop on values and tone, notes to the team", "Feedback round two: darker blue, more space around the mark"),
    ),
    Kind(
        "APP",
        "Mobile app",
        (
            "Interface design",
            "Login and accounts",
            "Offline mode",
            "Push notices",
            "Payment",
            "Store release",
            "Crash fixes",
            "Usability tests",
        ),
        _notes(
            "Implemented|Debugged|Paired on|Wrote tests for|Refactored|Documented",
            "the sign-in flow|the offline queue|the booking screen|the settings page|the map view|"
            "the push registration|the sync of favourites",
        )
        + (
            "Usability test with five people, wrote up the findings",
            "Release 2.3: notes, screenshots, submitted to both stores",
            "Crash on start with an empty cache: found and fixed",
        ),
    ),
    Kind(
        "CMP",
        "Campaign",
        ("Concept", "Copy", "Banners", "Newsletter", "Landing page", "Report"),
        _notes(
            "Wrote|Proofread|Laid out|Scheduled|Evaluated",
            "the spring newsletter|the banner set|the landing page copy|the social posts|the flyer|the radio script",
        )
        + ("Numbers of the week: opened, clicked, ordered; short report to the client",),
    ),
    Kind(
        "SUP",
        "Care and support",
        ("Updates", "Requests", "Monitoring", "Monthly report"),
        _notes(
            "Answered|Analysed|Fixed|Tested|Closed",
            "a request about the price list|a report of a slow page|a broken link in the footer|the failed form mail|the security update",
        )
        + ("Monthly updates, checked the backup, short report", "Certificate renewed, alarm threshold lowered"),
    ),
)
INTERNAL = Kind(
    "INT",
    "Internal",
    ("Team meeting", "Training", "Hiring", "Office", "Tools"),
    (
        "Weekly team meeting",
        "Planning of the coming sprint",
        "One-to-one",
        "Read up on the new accessibility rules",
        "Interview and notes",
        "Ordered supplies, sorted the post",
        "Time sheets and expenses",
        "Updated the project templates",
    ),
)

# Category, what it was, lowest and highest amount.
EXPENSES = (
    ("travel", "Train to the workshop and back", 38, 240),
    ("travel", "Hotel, one night", 79, 190),
    ("travel", "Taxi to the station", 12, 45),
    ("meals", "Lunch with the client", 28, 120),
    ("meals", "Coffee and cake for the workshop", 14, 60),
    ("software", "Font licence", 39, 290),
    ("software", "Stock photos", 15, 180),
    ("software", "Test device service, one month", 29, 99),
    ("hardware", "Keyboard and mouse", 49, 160),
    ("hardware", "External disk", 69, 220),
    ("print", "Posters, A2, twenty copies", 45, 210),
    ("print", "Style guide, bound", 25, 140),
    ("other", "Courier", 9, 48),
)
