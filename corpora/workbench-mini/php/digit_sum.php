<?php

function digit_sum(int $number): int
{
    return array_sum(str_split((string) abs($number)));
}
