<?php

function clamp_all(array $numbers, float $low, float $high): array
{
    return array_map(fn ($number) => min(max($number, $low), $high), $numbers);
}
