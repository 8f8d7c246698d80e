<?php

function run_lengths(string $text): string
{
    return preg_replace_callback('/(.)\1*/s', fn ($run) => $run[1] . strlen($run[0]), $text);
}
