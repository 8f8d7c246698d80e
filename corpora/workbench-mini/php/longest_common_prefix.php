<?php

function longest_common_prefix(array $words): string
{
    $prefix = $words[0] ?? '';
    foreach ($words as $word) {
        while (strncmp($word, $prefix, strlen($prefix)) !== 0) {
            $prefix = substr($prefix, 0, -1);
        }
    }
    return $prefix;
}
