<?php

function course_order(int $count, array $pairs): array
{
    $missing = array_fill(0, $count, 0);
    foreach ($pairs as [, $second]) {
        $missing[$second]++;
    }
    $order = [];
    while (count($order) < $count) {
        $course = array_search(0, $missing, true);
        if ($course === false) {
            return [];
        }
        $missing[$course] = -1;
        $order[] = $course;
        foreach ($pairs as [$first, $second]) {
            if ($first === $course) {
                $missing[$second]--;
            }
        }
    }
    return $order;
}
