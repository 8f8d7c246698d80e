<?php

function spiral_order(array $matrix): array
{
    $order = [];
    while ($matrix) {
        array_push($order, ...array_shift($matrix));
        $width = $matrix ? count($matrix[0]) : 0;
        $turned = [];
        for ($x = $width - 1; $x >= 0; $x--) {
            $turned[] = array_column($matrix, $x);
        }
        $matrix = $turned;
    }
    return $order;
}
