<?php

function coin_ways(int $amount, array $coins): int
{
    $ways = array_fill(0, $amount + 1, 0);
    $ways[0] = 1;
    foreach ($coins as $coin) {
        for ($paid = $coin; $paid <= $amount; $paid++) {
            $ways[$paid] += $ways[$paid - $coin];
        }
    }
    return $ways[$amount];
}
