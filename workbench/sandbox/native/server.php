<?php

// Answers calls of a candidate's functions: server.php NAME TYPES. It knows of no tests.
// TYPES is the JSON of [types of the parameters, type of the answer], as CallTests has them.

namespace Workbench\Grader;

const LONGEST = 64 << 20; // bytes of a frame

/** Return that many bytes, or null at the end. */
function read($stream, int $count): ?string
{
    $got = '';
    while (\strlen($got) < $count) {
        $part = \fread($stream, $count - \strlen($got));
        if ($part === false || $part === '') {
            return null;
        }
        $got .= $part;
    }
    return $got;
}

function read_frame($stream): ?string
{
    $head = read($stream, 4);
    $length = $head === null ? 0 : \unpack('N', $head)[1];
    return $head === null || $length > LONGEST ? null : read($stream, $length);
}

function write_frame($stream, string $text): void
{
    $frame = \pack('N', \strlen($text)) . $text;
    for ($at = 0; $at < \strlen($frame); $at += $written) {
        $written = \fwrite($stream, \substr($frame, $at));
        if ($written === false || $written === 0) {
            exit(1);
        }
    }
    \fflush($stream);
}

/** Return the type of what a value of this type holds, "" where nothing is said. */
function item_type(string $type): string
{
    if (\str_starts_with($type, 'list[')) {
        return \trim(\substr($type, 5, -1));
    }
    return \str_starts_with($type, 'dict[') ? \trim(\substr($type, \strpos($type, ',') + 1, -1)) : '';
}

/** Turn parsed JSON into a value: a dict into an array with keys. */
function value(mixed $json, string $type): mixed
{
    if ($json instanceof \stdClass) {
        $members = \get_object_vars($json);
        if (\array_keys($members) === ['$float']) {
            return ['nan' => \NAN, 'inf' => \INF, '-inf' => -\INF][$members['$float']];
        }
        $json = $members;
    }
    if (\is_array($json)) {
        return \array_map(fn($one) => value($one, item_type($type)), $json);
    }
    return $type === 'float' && \is_int($json) ? (float) $json : $json;
}

function float_text(float $value): string
{
    if (\is_nan($value)) {
        return '{"$float":"nan"}';
    }
    if (\is_infinite($value)) {
        return $value > 0 ? '{"$float":"inf"}' : '{"$float":"-inf"}';
    }
    return \json_encode($value, \JSON_PRESERVE_ZERO_FRACTION);
}

/** Write a value as JSON: an array is a list or a dict, as the type says, or else its keys. */
function text(mixed $value, string $type, int $depth = 0): string
{
    if ($depth > 400) {
        throw new \DomainException('a value deeper than 400');
    }
    if (\is_float($value)) {
        return float_text($value);
    }
    if (\is_array($value)) {
        return array_text($value, $type, $depth + 1);
    }
    if ($value instanceof \Traversable || $value instanceof \stdClass) {
        $items = $value instanceof \stdClass ? \get_object_vars($value) : \iterator_to_array($value);
        return array_text($items, $type, $depth + 1);
    }
    if (\is_object($value) || \is_resource($value)) {
        return '{"$other":' . \json_encode(\get_debug_type($value)) . '}';
    }
    return \json_encode($value, \JSON_INVALID_UTF8_SUBSTITUTE | \JSON_THROW_ON_ERROR);
}

function array_text(array $value, string $type, int $depth): string
{
    $item = item_type($type);
    // PHP 8.0 has no array_is_list yet.
    $isList = \array_keys($value) === \array_keys(\array_values($value));
    $isDict = \str_starts_with($type, 'dict[') || !$isList;
    $parts = [];
    foreach ($value as $key => $one) {
        $name = \json_encode((string) $key, \JSON_INVALID_UTF8_SUBSTITUTE);
        $parts[] = ($isDict ? $name . ':' : '') . text($one, $item, $depth);
    }
    return $isDict ? '{' . \implode(',', $parts) . '}' : '[' . \implode(',', $parts) . ']';
}

/** The words of a name, whatever case its writer puts them in; without its namespace. */
function flat(string $name): string
{
    $last = \strrchr($name, '\\');
    return \strtolower(\str_replace('_', '', $last === false ? $name : \substr($last, 1)));
}

/** Return what is meant by a name: a function, a variable that holds one, or a method. */
function find(string $name, array $variables, array $classes): callable
{
    foreach (\get_defined_functions()['user'] as $known) {
        if (flat($known) === flat($name) && !\str_starts_with($known, 'workbench\\grader\\')) {
            return $known;
        }
    }
    foreach ($variables as $known => $held) {
        if ($held instanceof \Closure && flat($known) === flat($name)) {
            return $held;
        }
    }
    foreach ($classes as $class) {
        foreach (\get_class_methods($class) as $method) {
            if (flat($method) === flat($name)) {
                $isStatic = (new \ReflectionMethod($class, $method))->isStatic();
                return $isStatic ? [$class, $method] : [new $class(), $method];
            }
        }
    }
    throw new \BadFunctionCallException("$name is not defined");
}

function raised(\Throwable $error): string
{
    $flags = \JSON_INVALID_UTF8_SUBSTITUTE;
    $message = \substr($error->getMessage(), 0, 1000);
    return \json_encode(['raise' => \get_class($error), 'message' => $message], $flags);
}

/** Load the candidate; return its global variables. */
function load(): array
{
    require __DIR__ . '/candidate.php';
    return \get_defined_vars();
}

function serve(array $types): void
{
    [$parameters, $returns] = $types;
    $in = \fopen('php://fd/3', 'rb');
    $out = \fopen('php://fd/4', 'wb');
    $broken = null;
    $before = \get_declared_classes();
    try {
        $variables = load();
    } catch (\Throwable $error) {
        $broken = raised($error);
    }
    $classes = \array_diff(\get_declared_classes(), $before);
    while (($frame = read_frame($in)) !== null) {
        try {
            $call = \json_decode($frame, false, 512, \JSON_THROW_ON_ERROR);
            $args = [];
            foreach ($call->args as $i => $arg) {
                $args[] = value($arg, $parameters[$i] ?? '');
            }
            $said = $broken
                ?? '{"value":' . text(find($call->call, $variables, $classes)(...$args), $returns) . '}';
        } catch (\Throwable $error) {
            $said = raised($error);
        }
        write_frame($out, $said);
    }
}

serve(\json_decode($argv[1]));
