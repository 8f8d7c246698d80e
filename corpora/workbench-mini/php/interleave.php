<?php

function interleave(array $first, array $second): array
{
    $mixed = [];
    for ($i = 0; $i < max(count($first), count($second)); $i++) {
        array_push($mixed, ...array_slice($first, $i, 1), ...array_slice($second, $i, 1));
    }
    return $mixed;
}
