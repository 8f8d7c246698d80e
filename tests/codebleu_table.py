"""Small programs of our own, and the table of what the reference implementation says of them.

``CODEBLEU_PYTHON=ENV/bin/python python tests/codebleu_table.py`` writes the table anew; what must
be in that environment, ``codebleu_peer`` says. Each program meets each rule of its language once:
declarations, assignments, updates, branches, the kinds of loops, comments, strings that look like
comments, and characters outside ASCII.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "tables" / "codebleu_reference.json.gz"
PEER = Path(__file__).with_name("codebleu_peer.py")
PAIRS_EACH = 36

PROGRAMS: dict[str, tuple[str, ...]] = {
    "python": (
        '''def running_mean(values, window=3):
    """Return means of the last values."""
    means, total = [], 0.0
    for place, value in enumerate(values):
        total += value  # the sum so far
        if place >= window:
            total -= values[place - window]
        elif value < 0:
            total = abs(total)
        else:
            count = place + 1
        means.append(total / min(place + 1, window))
    return means
''',
        """import re


class Words:
    def __init__(self, text):
        self.text = text
        self.kind = "plain # text"

    def count(self):
        found = {}
        for word in re.findall(r"\\w+", self.text):
            found[word] = found.get(word, 0) + 1
        return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
""",
        """def collatz(start: int, limit: int = 100):
    step = 0
    while start != 1 and step < limit:
        start, half = (start // 2, True) if start % 2 == 0 else (3 * start + 1, False)
        step = step + 1
    squares = [n * n for n in range(step) if n % 2]
    a = b = squares[0] if squares else None
    a, b = b, a
    return step, {key: value for key, value in zip("abc", squares)}
""",
        """größe = 3
name = "süß"; länge = len(name)
if (rest := größe % 2) == 0:
    print(f"{name!r:>{größe}} {länge}")
else:
    print(name, rest, sep=' → ')
""",
    ),
    "java": (
        """import java.util.*;

class Means {
    // the last values only
    static List<Double> runningMean(double[] values, int window) {
        List<Double> means = new ArrayList<>();
        double total = 0;
        for (int i = 0; i < values.length; i++) {
            total += values[i];
            if (i >= window) {
                total = total - values[i - window];
            } else if (values[i] < 0) {
                total = Math.abs(total);
            } else {
                total = total + 0.0;
            }
            means.add(total / Math.min(i + 1, window));
        }
        return means;
    }
}
""",
        """class Words {
    private final String text = "a /* b */ c // d";

    Map<String, Integer> count() {
        Map<String, Integer> found = new TreeMap<>();
        for (String word : text.split("\\\\s+")) {
            int old = found.getOrDefault(word, 0);
            found.put(word, old + 1);
        }
        return found;
    }
}
""",
        """class Collatz {
    static int steps(long start, int limit) {
        int step = 0;
        while (start != 1 && step < limit) {
            start = start % 2 == 0 ? start / 2 : 3 * start + 1;
            ++step;
        }
        int i;
        for (i = 0; i < 3; i += 2) step -= 1;
        do { step++; } while (step < 0);
        switch (step) { case 1: return 0; default: return step; }
    }
}
""",
        """class Ü {
    String gruß = "süß"; int länge = gruß.length();
    void sag() {
        char c = 'ß'; int[] zahlen = {1, 2, länge};
        Runnable r = () -> System.out.println(gruß + c + zahlen[0]);
        r.run();
    }
}
""",
    ),
    "cpp": (
        """#include <vector>
#include <cmath>
using namespace std;

// the last values only
vector<double> running_mean(const vector<double>& values, int window = 3) {
    vector<double> means;
    double total = 0;
    for (size_t i = 0; i < values.size(); i++) {
        total += values[i];
        if (i >= window) {
            total = total - values[i - window];
        } else if (values[i] < 0) {
            total = fabs(total);
        } else {
            total = total + 0.0;
        }
        means.push_back(total / min<int>(i + 1, window));
    }
    return means;
}
""",
        """#include <map>
#include <string>

struct Words {
    std::string text = "a /* b */ c // d";
    std::map<char, int> count() const {
        std::map<char, int> found;
        for (auto letter : text) {
            int old = found[letter];
            found[letter] = old + 1;
        }
        return found;
    }
};
""",
        """template <typename T>
int collatz(T start, int limit) {
    int step = 0, last;
    while (start != 1 && step < limit) {
        last = start;
        start = start % 2 == 0 ? start / 2 : 3 * start + 1;
        ++step; step--;
        step = step + 1;
    }
    auto twice = [&](int x) { return x * 2 + last; };
    do { step -= 1; } while (step > 1'000);
    return twice(step);
}
""",
        """#include <iostream>
int main() {
    std::string gruß = "süß"; int länge = gruß.size();
    länge = länge + 1; char c = 'x';
    std::cout << gruß << " → " << länge << c << R"(raw // text)" << std::endl;
    int* p = &länge; *p = 3;
    return *p == 3 ? 0 : 1;
}
""",
    ),
    "javascript": (
        """// the last values only
const runningMean = (values, window = 3) => {
  let means = [], total = 0;
  for (var i = 0; i < values.length; i++) {
    total += values[i];
    if (i >= window) {
      total -= values[i - window];
    } else if (values[i] < 0) {
      total = Math.abs(total);
    } else {
      total = total + 0;
    }
    means.push(total / Math.min(i + 1, window));
  }
  return means;
}
""",
        """class Words {
  constructor(text) {
    this.text = text;
    this.kind = "a /* b */ c // d";
  }

  count() {
    const found = new Map();
    for (const word of this.text.split(/\\s+/)) {
      const old = found.get(word) || 0;
      found.set(word, old + 1);
    }
    return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}
""",
        """function collatz(start, limit = 100) {
  let step = 0;
  let last;
  while (start !== 1 && step < limit) {
    last = start;
    start = start % 2 === 0 ? start / 2 : 3 * start + 1;
    step++;
  }
  const { length: size, ...rest } = [last, step];
  let [a, b = 2] = [size, rest];
  [a, b] = [b, a];
  do { step -= 1; } while (step > 9);
  for (const key in rest) { a = key; }
  return `${step} // ${a} ${b}`;
}
""",
        """const gruß = "süß"; let länge = gruß.length;
länge += 1;
async function sag(name) {
  const text = await fetch(`http://${name}/→`); var c = 'ß'; let n = länge * 2;
  if (n) console.log(text, c, n)
  return n ?? länge
}
""",
    ),
    "go": (
        """package main

import "math"

// the last values only
func runningMean(values []float64, window int) []float64 {
	means := []float64{}
	total := 0.0
	for i := 0; i < len(values); i++ {
		total += values[i]
		if i >= window {
			total = total - values[i-window]
		} else if values[i] < 0 {
			total = math.Abs(total)
		} else {
			total = total + 0
		}
		means = append(means, total/float64(window))
	}
	return means
}
""",
        """package words

import "strings"

type Words struct{ text string }

func (w *Words) Count() map[string]int {
	found := make(map[string]int)
	kind := "a /* b */ c // d"
	for _, word := range strings.Fields(w.text + kind) {
		old := found[word]
		found[word] = old + 1
	}
	return found
}
""",
        """package main

func collatz(start, limit int) (int, error) {
	var step, last int = 0, 1
	var other = last
	for start != 1 && step < limit {
		last, other = start, last
		if start%2 == 0 {
			start = start / 2
		} else {
			start = 3*start + 1
		}
		step++
	}
	for {
		step--
		if step < 9 {
			break
		}
	}
	defer func() { last = other }()
	return step, nil
}
""",
        """package main

import "fmt"

func main() {
	gruß := "süß"; var länge = len(gruß)
	länge = länge + 1; c := 'ß'
	var raw = `raw // → text`; länge++
	switch länge {
	case 1: fmt.Println(gruß, c)
	default: fmt.Println(raw, länge)
	}
}
""",
    ),
    "csharp": (
        """using System;
using System.Collections.Generic;

class Means
{
    // the last values only
    static List<double> RunningMean(double[] values, int window = 3)
    {
        var means = new List<double>();
        double total = 0;
        for (int i = 0; i < values.Length; i++)
        {
            total += values[i];
            if (i >= window)
            {
                total = total - values[i - window];
            }
            else if (values[i] < 0)
            {
                total = Math.Abs(total);
            }
            else
            {
                total = total + 0.0;
            }
            means.Add(total / Math.Min(i + 1, window));
        }
        return means;
    }
}
""",
        """class Words
{
    private readonly string text = "a /* b */ c // d";

    public IDictionary<string, int> Count()
    {
        var found = new SortedDictionary<string, int>();
        foreach (var word in text.Split(' '))
        {
            int old = found.ContainsKey(word) ? found[word] : 0;
            found[word] = old + 1;
        }
        return found;
    }
}
""",
        """static class Collatz
{
    public static int Steps(long start, int limit)
    {
        int step = 0, last;
        while (start != 1 && step < limit)
        {
            last = (int)start;
            start = start % 2 == 0 ? start / 2 : 3 * start + 1;
            ++step; step--;
            step = step + 1;
        }
        (int a, int b) = (step, 2);
        (a, b) = (b, a);
        do { step -= a; } while (step > 9);
        return step switch { 1 => -a, _ => step! };
    }
}
""",
        """class Ü
{
    string gruß = "süß"; int länge = 3;
    void Sag()
    {
        char c = 'ß'; länge = länge + 1; var n = länge;
        n = n * 2; n++;
        Console.WriteLine($"{gruß} → {n} // {c}" + @"raw // text");
    }
}
""",
    ),
    "php": (
        """<?php
// the last values only
function running_mean(array $values, $window = 3) {
    $means = [];
    $total = 0;
    for ($i = 0; $i < count($values); $i++) {
        $total += $values[$i];
        if ($i >= $window) {
            $total = $total - $values[$i - $window];
        } elseif ($values[$i] < 0) {
            $total = abs($total);
        } else {
            $total = $total + 0;
        }
        $means[] = $total / min($i + 1, $window);
    }
    return $means;
}
""",
        """<?php
class Words {
    private $text = "a /* b */ c // d";

    public function count() {
        $found = [];
        $words = explode(' ', $this->text);
        foreach ($words as $word) {
            $old = $found[$word] ?? 0;
            $found[$word] = $old + 1;
        }
        foreach ($found as $key => $value) { $last = $value; }
        # don't stop here
        return $found;
    }
}
""",
        """function collatz($start, $limit) {
    $step = 0;
    while ($start != 1 && $step < $limit) {
        $start = $start % 2 == 0 ? $start / 2 : 3 * $start + 1;
        ++$step;
    }
    return $step;
}
""",
        """<html><?php
$gruß = "süß"; $länge = strlen($gruß);
$länge = $länge + 1; [$a, $b] = [$länge, 2];
do { $a--; } while ($a > 0);
$sag = function ($name) use ($gruß) { return "$gruß → {$name}"; };
echo $sag('ß') . $b . match(true) { $a > 1 => 'x', default => 'y' };
?></html>
""",
    ),
}


def tasks() -> list[dict[str, Any]]:
    """Return pairs of each language, then one with two references, and one corpus of all."""
    from codebleu_pairs import pairs

    made = []
    for language, programs in PROGRAMS.items():
        own = pairs(list(programs), language, PAIRS_EACH - 2)
        made += [task(language, [candidate], [[right]]) for candidate, right in own]
        candidates, rights = zip(*own, strict=True)
        made.append(task(language, [candidates[2]], [[rights[2], rights[0], rights[1]]]))
        made.append(task(language, candidates[:12], [[right] for right in rights[:12]]))
    return made


def task(
    language: str, candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, Any]:
    return {
        "language": language,
        "candidates": list(candidates),
        "references": [list(texts) for texts in references],
    }


def ask_peer(python: str, tasks: Sequence[dict[str, Any]], *options: str, **variables: str) -> Any:
    """Score tasks with the reference implementation in the environment of ``python``."""
    done = subprocess.run(
        [python, str(PEER), *options],
        input=json.dumps(tasks),
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout)


def read_table() -> dict[str, Any]:
    with gzip.open(TABLE, "rt", encoding="utf-8") as file:
        return json.load(file)


def main() -> None:
    made = tasks()
    said = ask_peer(os.environ["CODEBLEU_PYTHON"], made, "--ordered")
    rows = [{**one, "scores": scores} for one, scores in zip(made, said["scores"], strict=True)]
    text = json.dumps({"versions": said["versions"], "rows": rows}, ensure_ascii=False)
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
    print(f"{len(rows)} rows, {TABLE.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
