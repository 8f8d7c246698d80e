<?php

final class Parser
{
    private array $tokens;
    private int $place = 0;

    public function __construct(string $text)
    {
        preg_match_all('/\d+|[-+*()]/', $text, $found);
        $this->tokens = $found[0];
    }

    public function total(): int
    {
        $value = $this->product();
        while (in_array($this->token(), ['+', '-'], true)) {
            $value += $this->tokens[$this->place++] === '+' ? $this->product() : -$this->product();
        }
        return $value;
    }

    private function token(): ?string
    {
        return $this->tokens[$this->place] ?? null;
    }

    private function product(): int
    {
        $value = $this->factor();
        while ($this->token() === '*') {
            $this->place++;
            $value *= $this->factor();
        }
        return $value;
    }

    private function factor(): int
    {
        $token = $this->tokens[$this->place++];
        if ($token !== '(') {
            return (int) $token;
        }
        $value = $this->total();
        $this->place++;
        return $value;
    }
}

function evaluate_expression(string $text): int
{
    return (new Parser($text))->total();
}
