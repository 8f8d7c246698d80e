<?php

function balanced_brackets(string $text): bool
{
    $closing = ['(' => ')', '[' => ']', '{' => '}'];
    $expected = [];
    foreach (str_split($text) as $character) {
        if (isset($closing[$character])) {
            $expected[] = $closing[$character];
        } elseif (in_array($character, $closing, true) && array_pop($expected) !== $character) {
            return false;
        }
    }
    return $expected === [];
}
