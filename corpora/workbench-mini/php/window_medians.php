<?php

function window_medians(array $numbers, int $size): array
{
    $medians = [];
    for ($start = 0; $start + $size <= count($numbers); $start++) {
        $window = array_slice($numbers, $start, $size);
        sort($window);
        $medians[] = ($window[intdiv($size - 1, 2)] + $window[intdiv($size, 2)]) / 2.0;
    }
    return $medians;
}
