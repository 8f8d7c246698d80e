<?php

function bell_words(int $count): array
{
    $words = [];
    for ($number = 1; $number <= $count; $number++) {
        $bells = [];
        if ($number % 4 === 0) {
            $bells[] = 'ding';
        }
        if ($number % 6 === 0) {
            $bells[] = 'dong';
        }
        $words[] = $bells ? implode('-', $bells) : (string) $number;
    }
    return $words;
}
