<?php

function count_words(string $sentence): array
{
    return array_count_values(preg_split('/ +/', $sentence, -1, PREG_SPLIT_NO_EMPTY));
}
