<?php

function edit_distance(string $first, string $second): int
{
    $row = range(0, strlen($second));
    for ($i = 1; $i <= strlen($first); $i++) {
        $next = [$i];
        for ($j = 1; $j <= strlen($second); $j++) {
            $change = $row[$j - 1] + ($first[$i - 1] === $second[$j - 1] ? 0 : 1);
            $next[] = min($row[$j] + 1, $next[$j - 1] + 1, $change);
        }
        $row = $next;
    }
    return $row[strlen($second)];
}
