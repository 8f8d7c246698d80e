"""The prompts that speed is measured with: code tasks, from one line to a page of code."""

from __future__ import annotations

from workbench.types import Message, Prompt

_SHORT = (
    "Write a Python function that returns the second largest number of a list.",
    "Write a JavaScript function that tells whether a string is a palindrome.",
    "Write a SQL query that counts the orders of each customer in the year 2025.",
    "Write a Go function that reverses the words of a sentence in place.",
)

_MEDIUM = (
    """Explain in three sentences what this function does, and name one input for which it fails.

def window_sums(numbers, width):
    total = sum(numbers[:width])
    yield total
    for leaving, entering in zip(numbers, numbers[width:]):
        total += entering - leaving
        yield total
""",
    """Translate this Python class to Java. Keep the names.

class Stack:
    def __init__(self, limit):
        self.limit = limit
        self.items = []

    def push(self, item):
        if len(self.items) == self.limit:
            raise OverflowError("the stack is full")
        self.items.append(item)

    def pop(self):
        if not self.items:
            raise IndexError("the stack is empty")
        return self.items.pop()
""",
)

_LONG = (
    """Review this module. Name its defects in order of weight, and write the corrected module.

import csv
from collections import defaultdict
from datetime import datetime

RATES = {"EUR": 1.0, "USD": 0.92, "GBP": 1.17}


def read_orders(path, since=None, orders=[]):
    file = open(path)
    for row in csv.DictReader(file):
        when = datetime.strptime(row["when"], "%Y-%m-%d")
        if since and when < since:
            continue
        orders.append(
            {
                "id": int(row["id"]),
                "customer": row["customer"].strip().lower(),
                "amount": float(row["amount"]) * RATES[row["currency"]],
                "when": when,
            }
        )
    return orders


def by_customer(orders):
    totals = defaultdict(float)
    for order in orders:
        totals[order["customer"]] += order["amount"]
    return dict(sorted(totals.items(), key=lambda pair: pair[1]))


def best(orders, count):
    totals = by_customer(orders)
    return list(totals)[:count]


def months(orders):
    found = defaultdict(list)
    for order in orders:
        found[order["when"].month].append(order["amount"])
    return {month: sum(amounts) / len(amounts) for month, amounts in found.items()}


def duplicates(orders):
    seen = []
    twice = []
    for order in orders:
        if order["id"] in seen:
            twice.append(order)
        seen.append(order["id"])
    return twice


def report(path, since=None):
    orders = read_orders(path, since)
    lines = [f"{len(orders)} orders, {len(duplicates(orders))} of them twice"]
    for customer in best(orders, 10):
        lines.append(f"{customer}: {by_customer(orders)[customer]:.2f} EUR")
    for month, mean in months(orders).items():
        lines.append(f"month {month}: {mean:.2f} EUR an order")
    return "\\n".join(lines)
""",
)

# In an order that mixes the lengths, so that any number of requests holds long and short ones.
PROMPTS = (_SHORT[0], _MEDIUM[0], _LONG[0], _SHORT[1], _SHORT[2], _MEDIUM[1], _SHORT[3])
"""Code tasks of about 15, 100 and 500 tokens, mixed."""


def numbered(text: str, number: int) -> Prompt:
    """Return a prompt that no other number has a beginning in common with.

    Servers keep what they read and answer an equal beginning from memory; measured so, they would
    look faster than they are for requests that differ.
    """
    return Prompt((Message("user", f"Request {number}.\n\n{text}"),), "throughput")
