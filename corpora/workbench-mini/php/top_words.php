<?php

function top_words(string $text, int $count): array
{
    $counts = array_count_values(preg_split('/ +/', $text, -1, PREG_SPLIT_NO_EMPTY));
    $words = array_map('strval', array_keys($counts));
    usort($words, fn ($a, $b) => [$counts[$b], $a] <=> [$counts[$a], $b]);
    return array_slice($words, 0, $count);
}
