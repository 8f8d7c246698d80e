<?php

function is_rotation(string $first, string $second): bool
{
    return strlen($first) === strlen($second) && strpos($first . $first, $second) !== false;
}
