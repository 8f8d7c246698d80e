<?php

function count_vowels(string $text): int
{
    return preg_match_all('/[aeiou]/i', $text);
}
