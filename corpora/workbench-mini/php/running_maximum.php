<?php

function running_maximum(array $numbers): array
{
    $largest = [];
    foreach ($numbers as $number) {
        $largest[] = $largest ? max(end($largest), $number) : $number;
    }
    return $largest;
}
