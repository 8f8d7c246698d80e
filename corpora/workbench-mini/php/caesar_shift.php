<?php

function caesar_shift(string $text, int $shift): string
{
    $places = ($shift % 26 + 26) % 26;
    return preg_replace_callback('/[a-zA-Z]/', function ($found) use ($places) {
        $first = ord($found[0] <= 'Z' ? 'A' : 'a');
        return chr($first + (ord($found[0]) - $first + $places) % 26);
    }, $text);
}
