<?php

function roman_numeral(int $number): string
{
    $signs = [
        'M' => 1000, 'CM' => 900, 'D' => 500, 'CD' => 400, 'C' => 100, 'XC' => 90, 'L' => 50,
        'XL' => 40, 'X' => 10, 'IX' => 9, 'V' => 5, 'IV' => 4, 'I' => 1,
    ];
    $numeral = '';
    foreach ($signs as $sign => $value) {
        $numeral .= str_repeat($sign, intdiv($number, $value));
        $number %= $value;
    }
    return $numeral;
}
