package desk

import "lifeline/store"

// Owners is whose the desk's records are: an account's restored from a backup, its tickets and what was said in them come with it.
func Owners() map[string]store.Owner {
	return map[string]store.Owner{
		tickets.Name:   {Field: "account", Kinds: []string{"account"}},
		messages.Name:  {Field: "ticket", Kinds: []string{tickets.Name}},
		questions.Name: {Field: "account", Kinds: []string{"account"}},
		evidence.Name:  {Field: "case", Kinds: []string{tickets.Name, questions.Name}},
	}
}
