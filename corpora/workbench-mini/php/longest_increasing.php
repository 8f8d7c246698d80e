<?php

function longest_increasing(array $numbers): int
{
    $ends = [];
    foreach ($numbers as $number) {
        $place = 0;
        while ($place < count($ends) && $ends[$place] < $number) {
            $place++;
        }
        $ends[$place] = $number;
    }
    return count($ends);
}
