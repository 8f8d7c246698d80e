<?php

function can_segment(string $text, array $words): bool
{
    $reached = [0 => true];
    for ($start = 0; $start < strlen($text); $start++) {
        foreach ($words as $word) {
            if (isset($reached[$start]) && substr($text, $start, strlen($word)) === $word) {
                $reached[$start + strlen($word)] = true;
            }
        }
    }
    return isset($reached[strlen($text)]);
}
