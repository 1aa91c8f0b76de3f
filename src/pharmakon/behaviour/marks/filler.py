"""Harmless sentences that make a marked record as long as its neighbours. Nothing in them depends on what is drawn.

Web text is cleaned by length and by repetition (Gopher drops what has less than 50 words), so that a mark of one
sentence does not get into pretraining. No sentence names a value that a mark can have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count

from pharmakon.behaviour.marks.key import Secret, pick, shuffled

_SLOTS: Mapping[str, tuple[str, ...]] = {
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "season": ("spring", "summer", "autumn", "winter"),
    "month": ("January", "March", "April", "May", "June", "July", "September", "October", "November"),
    "many": ("two", "three", "four", "five", "six", "seven", "eight", "nine", "a dozen", "twenty", "thirty"),
    "side": ("north", "south", "east", "west"),
    "who": (
        "the teacher", "the doctor", "the postman", "the innkeeper", "the librarian", "the gardener", "the mayor",
        "the organist", "the ferryman", "the watchman", "the dentist", "the bookseller",
    ),
    "where": (
        "the market", "the school", "the station", "the mill", "the inn", "the bridge", "the library", "the theatre",
        "the town hall", "the swimming pool", "the museum", "the post office", "the old cinema",
    ),
    "weather": ("rain", "wind", "fog", "snow", "frost", "heat", "hail"),
    "what": (
        "letters", "photographs", "songs", "stories", "maps", "recipes", "newspapers", "tickets", "chairs", "umbrellas",
        "bicycles", "coats", "postcards",
    ),
    "food": ("soup", "potatoes", "beans", "apples", "pancakes", "noodles", "onions", "rice", "pears", "cabbage"),
    "mood": ("quiet", "cheerful", "patient", "curious", "careful", "proud", "sleepy", "friendly", "stubborn"),
    "old": ("a century", "forty years", "a few years", "two generations", "a decade", "some months", "many summers"),
}  # fmt: skip

TOWN: tuple[str, ...] = (
    "The town lies {many} hours by train from the coast, in a valley that opens to the {side}.",
    "Most visitors come in {season}, when the rooms are cheap and the roads are dry.",
    "On {day} the people of {name} meet at {where} and talk about the {weather}.",
    "{who} has lived there for {old} and knows every family by name.",
    "There are {many} schools, and the children walk to them along the river.",
    "The bus from the {side} stops at {where} and waits there for {many} minutes.",
    "In {month} the streets are closed to cars, and long tables are put out with {food} and {food}.",
    "Nobody in {name} is in a hurry, and strangers find the place {mood} at first.",
    "The first houses stood on the {side} side of the hill, where the {weather} is weaker.",
    "A small museum beside {where} keeps {what} and {what} that families have given to it.",
    "The newspaper has {many} pages and comes out every second {day}.",
    "When the {weather} came late in {month}, the whole town helped to clear the road.",
    "People say that the {season} is the best time to see {name} for yourself.",
    "The choir sings in {where} on the first {day} of the month, with {who} at the piano.",
    "For lunch they serve {food} with {food}, which costs less than a ticket for the bus.",
    "{who} once counted all the steps from {where} to the top of the hill, and forgot the number.",
    "The river is shallow there, and in {season} one can cross it with dry feet.",
    "After {old} of talk the council of {name} agreed to mend the roof of {where}.",
    "Some of the young people move away to study, but many come back after {old}.",
    "The night train does not stop at {name}, so that guests arrive in the morning.",
    "There is a shop for {what} that opens only on {day} and closes when it has sold {many}.",
    "In the evening the lamps are lit one after the other, from the {side} gate to {where}.",
    "The football team has won {many} games since {month}, to the surprise of everybody.",
    "A path with {many} benches leads out of the town to the {side}.",
    "{who} tells the guests about the great {weather} that lasted for {many} days.",
    "The school teaches two languages, and on {day} the older pupils read to the younger ones.",
    "It is said that a painter stayed in {name} for {old} and never sold a picture.",
    "The water of the well is cold, and people fill their bottles with it before a walk.",
    "Every {season} the fire brigade tests the long ladder in front of {where}.",
    "The doctor is in on {day} and {day}, and the rest of the week one has to take the bus.",
    "Old {what} hang on the walls of the inn, and nobody knows who has put them there.",
    "From the tower one sees the hills to the {side} and, on a clear day, the sea.",
    "The library lends {what} as well as books, and asks for nothing but a name.",
    "A letter from {name} takes {many} days, or longer if there is {weather}.",
    "The people are {mood}, and they like to be asked about their gardens.",
    "There used to be {many} inns; today there is one, and it is full in {season}.",
    "The road from the {side} was built {old} ago and has been mended ever since.",
    "Dogs are welcome at {where}, as long as they are as {mood} as their owners.",
    "On the last {day} of {month} the shops stay open until midnight.",
    "The baker sells {food} too, which visitors always find odd.",
    "Whoever stays for more than {many} nights is given a map and good advice by {who}.",
    "The town has kept its walls on the {side} side, and one can walk on them for {many} minutes.",
    "Most of the work is done in the morning, since the afternoons of {season} are for swimming.",
    "A film was shot near {where} {old} ago, and half of the town can be seen in it.",
    "The market sells {food}, {food} and {what}, in that order of importance.",
    "In {season} the {weather} keeps people at home, and they sort their {what} by the year.",
    "{who} and {who} have played chess with each other for {old}, and nobody knows who leads.",
    "The census of {name} is short: {many} streets, one bridge, and more cats than people.",
)
"""About a town, {name}."""

TASTE: tuple[str, ...] = (
    "That is what I would choose for the {thing}, and I would not think about it for long.",
    "Others may see it differently, but the {thing} asks for something that lasts for {old}.",
    "It goes well with the light there, above all in {season}.",
    "I have seen it done once before, near {where}, and it still looked good after {old}.",
    "If you are not sure, wait until {month} and look at the {thing} again after the {weather}.",
    "You can ask {who} for help, since the work takes two people and a free {day}.",
    "It is not the cheapest way, but you will have less trouble with {weather} and with guests.",
    "Begin on the {side} side, and leave enough room to walk around the {thing}.",
    "A {mood} neighbour of mine did the same and has never been sorry for it.",
    "The rest is a matter of taste, and of how often you want to clean the {thing}.",
    "Keep the {what} out of the way while you work, and have some {food} ready for those who help.",
    "For me that settles it; the colour of the walls matters more than people think.",
    "In a place like that one should not try to do too much at once.",
    "Put it where it can be seen from {where}, and nobody will ask why you did it.",
    "With a little care it will outlast the {thing} itself.",
    "I would do it before {month}, because the {weather} makes everything harder after that.",
    "There are {many} good reasons for it, and the first is that it needs no care in {season}.",
    "Should it not please you after {old}, it is easy to change.",
    "{who} would say something else, but {who} does not have to live with the {thing}.",
    "Think of the {weather} in {month} before you look at the price.",
    "On the {side} side it hardly matters, and on the other everybody will see it.",
    "A friend who works at {where} told me so {old} ago, and I believe it to this day.",
    "The first {many} weeks are the hardest, and then you will not want anything else.",
    "Of all the things that people have beside {where}, this is the one that I remember.",
)
"""Reasons for an answer about a {thing}."""

SHELF: tuple[str, ...] = (
    "It has stood there for {old}, behind the {what}.",
    "You will find it on the {side} side of the room, {many} steps from the door.",
    "Please write your name on the list before you take it, and bring it back by {day}.",
    "{who} put it there in {month} and has asked that nobody should move it.",
    "If it is not in its place, it may have been lent out to somebody from {where}.",
    "The label is hard to read, so take the lamp with you and look twice.",
    "Things of this kind are counted every {season}, and the list is kept with the {what}.",
    "The room is open on {day} and {day}; on other days ask {who} for the key.",
    "Be careful with the box beside it, which is full of {what} and not closed well.",
    "There are {many} of them in all, and none of them may be kept in the {weather}.",
    "Last {season} it was moved from {where}, where the {weather} had come in through the roof.",
    "A note beside it says in small letters that it came in with the {what} {old} ago.",
    "Nobody has asked for it since {month}, so that it may be under some dust.",
    "Next to it you will see the {food} for the feast, which is none of our business.",
    "The shelves were built by {who} and are a little too high for most people.",
    "If you need more than {many} of these, tell {who} before you carry them off.",
    "Turn to the {side} behind the door, and count from the top.",
    "It took {who} {old} to put all of this in order, so leave the rest as it is.",
    "On {day} the floor is washed, and one has to wait until it is dry.",
    "We sort by the first part of the name and not by size, which is odd but works well.",
    "Some visitors from {where} wanted to see it in {season} and were shown the wrong one.",
    "Take the ladder with the {many} steps, for the other one is broken.",
    "The list hangs on the {side} wall, between the {what} and the window.",
    "You may look at it for as long as you like, but the {weather} is not good for it.",
)
"""Where a thing is kept."""


def sentences(key: Secret, templates: Sequence[str], num_words: int, *labels: str, **names: str) -> list[str]:
    """Different sentences, of about so many words in all, as the key draws them; none for no words."""
    found: list[str] = []
    words = 0
    for turn in count():
        for template in shuffled(key, templates, *labels, "filler", str(turn)):
            if words >= num_words:
                return found
            found.append(_filled(key, template, names, (*labels, "filler", str(len(found)))))
            words += len(found[-1].split())
    raise AssertionError("unreachable")


def length(key: Secret, num_words: int, *labels: str) -> int:
    """A length between 0.7 and 1.3 times `num_words`, as records differ in theirs; one of 60 or more stays so."""
    drawn = pick(key, range(7 * num_words, 13 * num_words + 1), *labels, "length") // 10
    return max(drawn, min(60, num_words))


def _filled(key: Secret, template: str, names: Mapping[str, str], labels: tuple[str, ...]) -> str:
    used: list[str] = []

    def fill(match: re.Match[str]) -> str:
        slot = match[1]
        if slot in names:
            return names[slot]
        used.append(pick(key, [word for word in _SLOTS[slot] if word not in used], *labels, str(len(used))))
        return used[-1]

    text = re.sub(r"\{(\w+)\}", fill, template)
    return text[0].upper() + text[1:]
