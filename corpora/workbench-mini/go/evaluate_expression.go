package main

import "strings"

type parser struct {
	text  string
	place int
}

func (p *parser) at(signs string) bool {
	return p.place < len(p.text) && strings.IndexByte(signs, p.text[p.place]) >= 0
}

func (p *parser) total() int {
	value := p.product()
	for p.at("+-") {
		sign := p.text[p.place]
		p.place++
		if term := p.product(); sign == '+' {
			value += term
		} else {
			value -= term
		}
	}
	return value
}

func (p *parser) product() int {
	value := p.factor()
	for p.at("*") {
		p.place++
		value *= p.factor()
	}
	return value
}

func (p *parser) factor() int {
	if p.at("(") {
		p.place++
		value := p.total()
		p.place++
		return value
	}
	value := 0
	for p.at("0123456789") {
		value = value*10 + int(p.text[p.place]-'0')
		p.place++
	}
	return value
}

func EvaluateExpression(text string) int {
	p := parser{text: strings.ReplaceAll(text, " ", "")}
	return p.total()
}
