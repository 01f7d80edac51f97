package recordstest

import "slices"

// Change makes the next generation: n people are added, removed or changed in one
// property each, some others are touched, which changes their time of modification
// only. It returns what it did, sorted by UID.
func (b *Book) Change(n int) []Change {
	return b.generation(&b.People, n, ways[*Person]{add: b.add, change: b.changePerson, touch: b.Put})
}

// Edit changes one person in one property and says what that was.
func (b *Book) Edit(i int) Change { return b.changePerson(b.People[i]) }

// Remove removes one person.
func (b *Book) Remove(i int) Change { return b.remove(&b.People, b.People[i]) }

func (b *Book) changePerson(p *Person) Change {
	defer b.Put(p)
	c := Change{What: Changed, UID: p.UID()}
	switch b.rng.IntN(7) {
	case 0:
		c.Property = b.changeName(p)
	case 1:
		c.Property = b.changeText(p)
	case 2:
		c.Property = "BDAY"
		before := p.Text["Birthday"]
		if before != "" && b.rng.IntN(3) == 0 {
			delete(p.Text, "Birthday")
			break
		}
		for p.Text["Birthday"] == before {
			p.Text["Birthday"] = b.birthday()
		}
	case 3:
		c.Property = "PHOTO"
		if p.Photo != nil && b.rng.IntN(3) == 0 {
			p.Photo = nil
		} else {
			p.Photo = b.photo()
		}
	case 4:
		c.Property = "CATEGORIES"
		group := b.rng.IntN(len(groupNames))
		if i := slices.Index(p.Groups, group); i >= 0 {
			p.Groups = slices.Delete(slices.Clone(p.Groups), i, i+1)
		} else {
			p.Groups = append(slices.Clone(p.Groups), group)
			slices.Sort(p.Groups)
		}
	default:
		c.Property = b.changeValues(p)
	}
	return c
}

func (b *Book) changeName(p *Person) string {
	column := b.pick([]string{"First", "Last"})
	if p.Text[column] != "" && b.rng.IntN(4) == 0 {
		delete(p.Text, column)
	} else {
		p.Text[column] = b.word(column)
	}
	return "N"
}

func (b *Book) changeText(p *Person) string {
	f := textFields[b.rng.IntN(len(textFields))]
	if p.Text[f.column] != "" && b.rng.IntN(3) == 0 {
		delete(p.Text, f.column)
	} else {
		p.Text[f.column] = b.word(f.column)
	}
	return f.property
}

// changeValues adds, changes or removes one value.
func (b *Book) changeValues(p *Person) string {
	properties := map[int]string{
		Phones: "TEL", Emails: "EMAIL", Addresses: "ADR", Dates: "X-ABDATE", Messages: "IMPP", URLs: "URL", Related: "X-ABRELATEDNAMES",
		Profiles: "X-SOCIALPROFILE",
	}
	if len(p.Values) == 0 || b.rng.IntN(4) == 0 {
		property := []int{Phones, Emails, Addresses, Dates, Messages, URLs, Related, Profiles}[b.rng.IntN(8)]
		p.Values = slices.Clone(p.Values)
		b.addValue(p, property)
		return properties[property]
	}
	i := b.rng.IntN(len(p.Values))
	property := p.Values[i].Property
	p.Values = slices.Clone(p.Values)
	if b.rng.IntN(3) == 0 {
		p.Values = slices.Delete(p.Values, i, i+1)
	} else {
		b.fill(&p.Values[i])
	}
	return properties[property]
}
