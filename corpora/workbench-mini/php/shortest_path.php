<?php

function shortest_path(array $grid): int
{
    $steps = [];
    $queue = [];
    foreach ($grid as $y => $row) {
        $x = strpos($row, 'S');
        if ($x !== false) {
            $steps[$y][$x] = 0;
            $queue[] = [$y, $x];
        }
    }
    while ($queue) {
        [$y, $x] = array_shift($queue);
        if ($grid[$y][$x] === 'E') {
            return $steps[$y][$x];
        }
        foreach ([[$y - 1, $x], [$y + 1, $x], [$y, $x - 1], [$y, $x + 1]] as [$v, $u]) {
            $inside = $v >= 0 && $v < count($grid) && $u >= 0 && $u < strlen($grid[$v]);
            if ($inside && $grid[$v][$u] !== '#' && !isset($steps[$v][$u])) {
                $steps[$v][$u] = $steps[$y][$x] + 1;
                $queue[] = [$v, $u];
            }
        }
    }
    return -1;
}
